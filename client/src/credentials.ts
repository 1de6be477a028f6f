import type { ConnectionSecret } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { AuthBudget } from "./auth-budget.ts";
import type { CatalogConnection, ConnectionRef } from "./catalog-state.ts";
import type { OperatorCatalog } from "./catalog.ts";
import type { MeshClient } from "./clients.ts";
import { Secret } from "./secret.ts";

/** Most secrets that one call may ask for. */
const BATCH_SIZE = 100;

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
   * The credentials to bind with, in the order to try them: today the active one. Empty when the connection has none, or is gone. Rejects with
   * ConnectError when one isn't known yet and can't be fetched (e.g. VAULT_UNAVAILABLE, CREDENTIAL_NOT_FOUND).
   */
  async candidates(ref: ConnectionRef | string): Promise<readonly Credential[]> {
    const connection = this.#catalog.connection(ref);
    const active = connection?.connection.credential?.active;
    if (connection === undefined || active === undefined) return [];
    return [await this.#secret(connection, active.id)];
  }

  /**
   * Fetches what isn't known yet of all connections (that the predicate accepts), a hundred per call, for a cold start. What can't be had is left
   * to `candidates`, which says why. Rejects with ConnectError when the service can't be reached.
   */
  async prefetch(predicate?: (connection: CatalogConnection) => boolean): Promise<void> {
    const minimumToken = this.#catalog.status.token;
    const wanted = this.#catalog.connections(predicate).flatMap(({ operatorId, connectionId, connection }) => {
      const credentialId = connection.credential?.active?.id;
      if (credentialId === undefined || this.#secrets.has(secretKey(operatorId, connectionId, credentialId))) return [];
      return [{ operatorId, connectionId, credentialId, minimumToken }];
    });
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
   * probe per 30 minutes; a credential that was accepted has no limit, and a new one starts afresh. Report each try's result.
   */
  mayTry(ref: ConnectionRef | string, credentialId: string): boolean {
    return this.#budget.take(budgetKey(ref, credentialId));
  }

  /** When the next try is allowed; undefined: now. */
  nextTryTime(ref: ConnectionRef | string, credentialId: string): Date | undefined {
    const time = this.#budget.nextTry(budgetKey(ref, credentialId));
    return time <= this.#budget.now() ? undefined : new Date(time);
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
