import type { ConnectionSecret } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { CredentialState, type ConnectionCredential } from "@operator-management/contract/ops/v1/credential_pb.js";
import { AuthBudget } from "./auth-budget.ts";
import { candidates, type CredentialCandidates, type TryLimit } from "./candidates.ts";
import type { CatalogConnection, ConnectionRef } from "./catalog-state.ts";
import type { OperatorCatalog } from "./catalog.ts";
import type { MeshClient } from "./clients.ts";
import { Secret } from "./secret.ts";

/** Most secrets that one call may ask for. */
const BATCH_SIZE = 100;
/** The last moment that a Date can name, in milliseconds. */
const END_OF_TIME = 8.64e15;

/** What a bind needs, without anything that a log could give away. */
export interface Credential {
  /** The version's immutable id. */
  readonly id: string;
  /** The SMPP system_id that it belongs to. */
  readonly systemId: string;
  /** Prints `[redacted]`; empty for accounts that a vendor recognises by their source address alone. */
  readonly password: Secret;
  /** The TLS client certificate, where the vendor wants one. */
  readonly clientCertificate?: { readonly chainPem: string; readonly keyPem: Secret };
}

/** What credentials are fetched with. */
export interface CredentialsOptions {
  readonly client: MeshClient;
  /** Says which credential versions a connection may use. */
  readonly catalog: OperatorCatalog;
  /** The clock of the login budget, in milliseconds. Default: Date.now. */
  readonly now?: () => number;
}

/**
 * The secrets of this process's connections. A secret is fetched once and kept for the process's life, so that a lost session can be bound
 * again while the service is away; and the budget of logins is kept here, because failed ones get accounts banned.
 */
export class Credentials {
  readonly #client: MeshClient;
  readonly #catalog: OperatorCatalog;
  readonly #budget: AuthBudget;
  readonly #secrets = new Map<string, Promise<Credential>>();

  constructor(options: CredentialsOptions) {
    this.#client = options.client;
    this.#catalog = options.catalog;
    this.#budget = new AuthBudget(options.now);
  }

  /**
   * The credentials to bind with, in the order to try them: during a rotation both versions, as `candidates` orders them; those that may not
   * be tried now come last. Empty when the connection has none, or is gone. One that isn't known yet and can't be fetched is left out; rejects
   * with ConnectError when that is so of all (e.g. VAULT_UNAVAILABLE, CREDENTIAL_NOT_FOUND).
   */
  async candidates(ref: ConnectionRef | string): Promise<readonly Credential[]> {
    const connection = this.#catalog.connection(ref);
    if (connection === undefined) return [];
    const { order } = this.#candidates(connection);
    const mayTry = order.filter(({ id, limit }) => this.#budget.mayTake(budgetKey(ref, id), limit));
    const sorted = [...mayTry, ...order.filter((each) => !mayTry.includes(each))];
    // The one that a rotation comes to later is fetched now: the service may be away by then.
    for (const id of usable(connection.connection.credential)) this.#secret(connection, id).catch(() => undefined);
    const results = await Promise.allSettled(sorted.map(({ id }) => this.#secret(connection, id)));
    const known = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
    const [failed] = results.flatMap((result) => (result.status === "rejected" ? [result.reason as Error] : []));
    if (known.length === 0 && failed !== undefined) throw failed;
    return known;
  }

  /**
   * Fetches what isn't known yet of all connections (that the predicate accepts), a hundred per call, for a cold start. What can't be had is left
   * to `candidates`, which says why. Rejects with ConnectError when the service can't be reached.
   */
  async prefetch(predicate?: (connection: CatalogConnection) => boolean): Promise<void> {
    const minimumToken = this.#catalog.status.token;
    const wanted = this.#catalog.connections(predicate).flatMap(({ operatorId, connectionId, connection }) =>
      usable(connection.credential)
        .filter((credentialId) => !this.#secrets.has(secretKey(operatorId, connectionId, credentialId)))
        .map((credentialId) => ({ operatorId, connectionId, credentialId, minimumToken })),
    );
    for (let start = 0; start < wanted.length; start += BATCH_SIZE) {
      const requests = wanted.slice(start, start + BATCH_SIZE);
      const { results } = await this.#client.batchGetConnectionCredentials({ requests });
      for (const [index, { result }] of results.entries()) {
        const request = requests[index];
        if (request === undefined || result.case !== "secret") continue;
        const key = secretKey(request.operatorId, request.connectionId, request.credentialId);
        this.#secrets.set(key, Promise.resolve(credentialOf(result.value)));
      }
    }
  }

  /**
   * Whether a login with this credential may be tried now; if so the try is taken. At most 3 per 15 minutes, and after 3 refusals one
   * probe per 30 minutes; during a rotation one per 5 minutes, or none once it was refused, as `candidates` says. A credential that was
   * accepted may be tried as often as one likes, but three times at once: vendors change passwords unannounced, and then every bind fails. A new
   * one starts afresh. Report each try's result, which also makes room for the next.
   */
  mayTry(ref: ConnectionRef | string, credentialId: string): boolean {
    return this.#budget.take(budgetKey(ref, credentialId), this.#limit(ref, credentialId));
  }

  /** When the next try is allowed; undefined: now. One that may not be tried again: the end of time. */
  nextTryTime(ref: ConnectionRef | string, credentialId: string): Date | undefined {
    const time = this.#budget.nextTry(budgetKey(ref, credentialId), this.#limit(ref, credentialId));
    return time <= this.#budget.now() ? undefined : new Date(Math.min(time, END_OF_TIME));
  }

  /** The refusals of this connection's credentials no longer count: somebody has seen to it. */
  retryNow(ref: ConnectionRef | string): void {
    const prefix = budgetKey(ref, "");
    for (const key of this.#budget.keys()) if (key.startsWith(prefix)) this.#budget.renew(key);
  }

  /** The vendor refused this credential (class AUTH). */
  reportRejected(ref: ConnectionRef | string, credentialId: string): void {
    this.#budget.rejected(budgetKey(ref, credentialId));
  }

  /** The vendor accepted it: earlier refusals no longer count. */
  reportAccepted(ref: ConnectionRef | string, credentialId: string): void {
    this.#budget.accepted(budgetKey(ref, credentialId));
  }

  /** The try ended without a word on the credential, e.g. no connection came about: it doesn't count. */
  reportAbandoned(ref: ConnectionRef | string, credentialId: string): void {
    this.#budget.abandoned(budgetKey(ref, credentialId));
  }

  #candidates({ connection }: CatalogConnection): CredentialCandidates {
    return candidates(connection.credential, new Date(this.#budget.now()));
  }

  #limit(ref: ConnectionRef | string, credentialId: string): TryLimit | undefined {
    const connection = this.#catalog.connection(ref);
    if (connection === undefined) return undefined;
    return this.#candidates(connection).order.find(({ id }) => id === credentialId)?.limit;
  }

  #secret({ operatorId, connectionId }: CatalogConnection, credentialId: string): Promise<Credential> {
    const key = secretKey(operatorId, connectionId, credentialId);
    const known = this.#secrets.get(key);
    if (known !== undefined) return known;
    const fetched = this.#fetch(operatorId, connectionId, credentialId);
    this.#secrets.set(key, fetched);
    // Only a success is kept; whoever waits gets the failure from the promise itself.
    fetched.catch(() => this.#secrets.delete(key));
    return fetched;
  }

  async #fetch(operatorId: string, connectionId: string, credentialId: string): Promise<Credential> {
    const minimumToken = this.#catalog.status.token;
    const request = { operatorId, connectionId, credentialId, minimumToken };
    const { secret } = await this.#client.getConnectionCredential(request);
    if (secret === undefined) throw new Error("the service answered without a secret");
    return credentialOf(secret);
  }
}

/** The versions that may be read: also one that a rotation comes to only later. */
function usable(credential: ConnectionCredential | undefined): string[] {
  const pending = credential?.pending?.state === CredentialState.PENDING ? credential.pending : undefined;
  return [pending, credential?.active].flatMap((version) => (version === undefined ? [] : [version.id]));
}

function credentialOf({ credentialId, systemId, password, clientCertificate }: ConnectionSecret): Credential {
  return Object.freeze({
    id: credentialId,
    systemId,
    password: new Secret(password),
    ...(clientCertificate === undefined
      ? {}
      : {
          clientCertificate: Object.freeze({
            chainPem: clientCertificate.chainPem,
            keyPem: new Secret(clientCertificate.keyPem),
          }),
        }),
  });
}

function secretKey(operatorId: string, connectionId: string, credentialId: string): string {
  return `${operatorId}/${connectionId}/${credentialId}`;
}

function budgetKey(ref: ConnectionRef | string, credentialId: string): string {
  const connection = typeof ref === "string" ? ref : `${ref.operatorId}/${ref.connectionId}`;
  return `${connection}/${credentialId}`;
}
