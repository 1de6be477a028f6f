import type { Bind } from "./bind.ts";
import type { CredentialSource } from "./logins.ts";
import { Logins } from "./logins.ts";
import { RateLimit } from "./rate-limit.ts";
import type { DesiredConnection } from "./desired.ts";

/** What the binds of one connection share. */
export class Link {
  readonly operatorId: string;
  readonly operatorUid: string;
  readonly connectionId: string;
  readonly key: string;
  readonly logins: Logins;
  readonly rate: RateLimit;
  readonly binds = new Set<Bind>();
  /** The configuration in force for what needs no session: rate, window, state. */
  config: DesiredConnection["connection"];

  constructor(desired: DesiredConnection, credentials: CredentialSource) {
    this.key = desired.key;
    this.operatorId = desired.operatorId;
    this.operatorUid = desired.operatorUid;
    this.connectionId = desired.connectionId;
    this.config = desired.connection;
    this.logins = new Logins(desired, credentials);
    this.rate = new RateLimit(desired.connection.throughput);
  }

  apply({ connection }: DesiredConnection): void {
    this.config = connection;
    this.rate.configure(connection.throughput);
  }
}
