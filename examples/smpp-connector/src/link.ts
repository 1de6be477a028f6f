import type { LinkMonitor } from "@operator-management/client";
import type { Bind } from "./bind.ts";
import type { CredentialSource } from "./logins.ts";
import { Logins } from "./logins.ts";
import { Outbox } from "./outbox.ts";
import { RateLimit } from "./rate-limit.ts";
import { ReceiptBook } from "./receipt-book.ts";
import type { DesiredConnection } from "./desired.ts";

/** What the binds of one connection share. */
export class Link {
  readonly operatorId: string;
  readonly operatorUid: string;
  readonly connectionId: string;
  readonly key: string;
  readonly logins: Logins;
  readonly rate: RateLimit;
  /** The messages that wait to be sent. */
  readonly outbox = new Outbox();
  /** The messages that wait for their receipts. */
  readonly book = new ReceiptBook();
  /** Is told what is seen of the connection. */
  readonly monitor: LinkMonitor;
  readonly binds = new Set<Bind>();
  /** When what the rotation under way asks changes by the clock alone. */
  rotationUntil: Date | undefined;
  /** The configuration in force for what needs no session: rate, window, state. */
  config: DesiredConnection["connection"];

  constructor(desired: DesiredConnection, credentials: CredentialSource, monitor: LinkMonitor) {
    this.key = desired.key;
    this.operatorId = desired.operatorId;
    this.operatorUid = desired.operatorUid;
    this.connectionId = desired.connectionId;
    this.config = desired.connection;
    this.logins = new Logins(desired, credentials);
    this.rate = new RateLimit(desired.connection.throughput, desired.connection.throttle);
    this.monitor = monitor;
  }

  apply({ connection }: DesiredConnection): void {
    this.config = connection;
    this.rate.configure(connection.throughput, connection.throttle);
  }
}
