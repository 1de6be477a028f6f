import type { ConnectionRef, Credential } from "@operator-management/client";

/** What is used of the SDK's Credentials, which keeps the budget of failed logins. */
export interface CredentialSource {
  candidates(ref: ConnectionRef): Promise<readonly Credential[]>;
  mayTry(ref: ConnectionRef, credentialId: string): boolean;
  nextTryTime(ref: ConnectionRef, credentialId: string): Date | undefined;
  reportRejected(ref: ConnectionRef, credentialId: string): void;
  reportAccepted(ref: ConnectionRef, credentialId: string): void;
  reportAbandoned(ref: ConnectionRef, credentialId: string): void;
}

/** The right to try one login. Exactly one of the three is to be called with its result. */
export interface Login {
  readonly credential: Credential;
  accepted(): void;
  /** The vendor refused system_id or password. */
  refused(): { readonly triesLeft: number; readonly until: Date | undefined; readonly otherLogin: boolean };
  /** The try ended without a word on the credential. */
  abandoned(): void;
}

/** The SDK's budget: more than these aren't tried at once, and none is tried again after so many refusals. */
const TRIES = 3;

/** No login may be tried now; the message says why. */
export class NoLoginError extends Error {
  override readonly name = "NoLoginError";
  /** When one may; undefined: when the configuration changes. */
  readonly until: Date | undefined;

  constructor(message: string, until?: Date, options?: ErrorOptions) {
    super(message, options);
    this.until = until;
  }
}

/**
 * Hands out logins of one connection: one at a time until the vendor has accepted the credential, so that a wrong password costs
 * one try and not one per bind; then three at a time, because the vendor may have changed it since. Which of two credentials is first during a
 * rotation says the SDK.
 */
export class Logins {
  readonly #ref: ConnectionRef;
  readonly #source: CredentialSource;
  #proven: string | undefined;
  /** The credentials that may be used, as of the last look. */
  #known: readonly Credential[] = [];
  #isPreparing = false;
  #refusals = { id: "", count: 0 };
  #underWay = 0;
  /** Those who wait for one of them to end. */
  #waiting: (() => void)[] = [];

  constructor(ref: ConnectionRef, source: CredentialSource) {
    this.#ref = ref;
    this.#source = source;
  }

  /** Rejects with {@link NoLoginError}, or with the signal's reason when it aborts while others have their turn. */
  async next(signal: AbortSignal): Promise<Login> {
    for (;;) {
      // Whoever was before may have proven it, or another one is in force by now.
      const credential = await this.#credential();
      signal.throwIfAborted();
      if (this.#underWay < (credential.id === this.#proven ? TRIES : 1)) return this.#take(credential);
      const turn = Promise.withResolvers<void>();
      this.#waiting.push(turn.resolve);
      await turn.promise;
      signal.throwIfAborted();
    }
  }

  /** Whether a login with this credential may be tried, and its password is at hand; if it isn't, it is fetched. */
  isReady(credentialId: string): boolean {
    if (this.#source.nextTryTime(this.#ref, credentialId) !== undefined) return false;
    if (this.#known.some(({ id }) => id === credentialId)) return true;
    if (!this.#isPreparing) void this.#prepare();
    return false;
  }

  async #prepare(): Promise<void> {
    this.#isPreparing = true;
    // Whoever needs it for a bind will be told why it can't be had.
    await this.#credential().catch(() => undefined);
    this.#isPreparing = false;
  }

  async #credential(): Promise<Credential> {
    this.#known = await this.#source.candidates(this.#ref).catch((cause: unknown) => {
      const why = cause instanceof Error ? cause.message : "unknown error";
      throw new NoLoginError(`the password can't be fetched: ${why}`, undefined, { cause });
    });
    const [credential] = this.#known;
    if (credential === undefined) throw new NoLoginError("no credential is stored");
    return credential;
  }

  /** When the first of the credentials may be tried; undefined: one may now. */
  #nextTry(): Date | undefined {
    const times = this.#known.map(({ id }) => this.#source.nextTryTime(this.#ref, id));
    if (times.length === 0 || times.includes(undefined)) return undefined;
    return new Date(Math.min(...times.map((time) => time?.getTime() ?? 0)));
  }

  #take(credential: Credential): Login {
    const { id } = credential;
    if (!this.#source.mayTry(this.#ref, id)) {
      const until = this.#nextTry();
      throw new NoLoginError("refused too often: waiting, as more tries could get the account banned", until);
    }
    this.#underWay += 1;
    const over = (): void => {
      this.#underWay -= 1;
      for (const wake of this.#waiting.splice(0)) wake();
    };
    return {
      credential,
      accepted: () => {
        this.#proven = id;
        this.#refusals = { id, count: 0 };
        this.#source.reportAccepted(this.#ref, id);
        over();
      },
      refused: () => {
        this.#proven = undefined;
        this.#source.reportRejected(this.#ref, id);
        over();
        this.#refusals = { id, count: this.#refusals.id === id ? this.#refusals.count + 1 : 1 };
        const mayTry = this.#source.nextTryTime(this.#ref, id) === undefined;
        const until = this.#nextTry();
        return {
          until,
          triesLeft: mayTry ? Math.max(1, TRIES - this.#refusals.count) : 0,
          otherLogin: until === undefined && !mayTry,
        };
      },
      abandoned: () => {
        this.#source.reportAbandoned(this.#ref, id);
        over();
      },
    };
  }
}
