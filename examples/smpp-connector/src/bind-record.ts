import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { BindState, BindStatusSchema, type BindStatus } from "@operator-management/contract/ops/v1/health_pb.js";
import type { Slot } from "./desired.ts";
import type { SmppSession } from "./session.ts";

const LONGEST_TEXT = 500;

/** What the service is told of one bind; every change is a change of state or of the words about it. */
export class BindRecord {
  readonly #status: BindStatus;
  /** enquire_links that the last session missed in the end: why it is gone, until there is another. */
  #missed = 0;

  constructor({ role, index }: Slot) {
    const now = timestampFromDate(new Date());
    this.#status = create(BindStatusSchema, { role, index, state: BindState.UNBOUND, since: now, unboundSince: now });
  }

  connecting(endpointId: string, credentialId: string, bindEtag: string): void {
    // The last answer was about another password or other settings: it must not be taken for one to these.
    const isAnother = credentialId !== this.#status.credentialId || bindEtag !== this.#status.bindEtag;
    if (isAnother) {
      delete this.#status.lastBindStatus;
      this.#status.detail = "";
    }
    // Nor does a refusal count that these settings were not there for: whatever the vendor minded may be put right.
    if (bindEtag !== this.#status.bindEtag) this.#status.rejectedCredentialId = "";
    Object.assign(this.#status, { endpointId, credentialId, bindEtag });
    delete this.#status.nextAttemptTime;
    this.#enter(BindState.CONNECTING);
  }

  binding(): void {
    this.#enter(BindState.BINDING);
  }

  bound(session: SmppSession): void {
    this.#enter(BindState.BOUND);
    const { localAddress, peerAddress } = session;
    const { since: boundSince } = this.#status;
    Object.assign(this.#status, { localAddress, peerAddress, lastBindStatus: 0, boundSince, detail: "" });
    this.#missed = 0;
    delete this.#status.unboundSince;
    if (this.#status.rejectedCredentialId === this.#status.credentialId) this.#status.rejectedCredentialId = "";
  }

  /** The vendor refused the credential of this attempt. */
  refused(): void {
    this.#status.rejectedCredentialId = this.#status.credentialId;
  }

  /** The session is over, of its own or by us; so many enquire_links in a row had no answer. */
  ended(why: string, missed: number): void {
    this.#enter(BindState.UNBOUND);
    this.#missed = missed;
    this.#status.lastCloseReason = oneLine(why);
    this.#status.unboundSince ??= timestampFromDate(new Date());
    delete this.#status.boundSince;
  }

  failed(detail: string, bindStatus?: number): void {
    this.#enter(BindState.FAILED);
    this.#status.detail = oneLine(detail);
    if (bindStatus !== undefined) this.#status.lastBindStatus = bindStatus;
  }

  nextAttempt(time: Date): void {
    this.#status.nextAttemptTime = timestampFromDate(time);
  }

  /** A copy, with what the session, if any, says of itself. */
  status(session: SmppSession | undefined): BindStatus {
    return create(BindStatusSchema, {
      ...this.#status,
      enquireLinksMissed: session?.enquireLinks.missed ?? this.#missed,
      enquireLinksAnswered: session?.enquireLinks.answered ?? 0,
    });
  }

  #enter(state: BindState): void {
    if (this.#status.state === state) return;
    this.#status.state = state;
    this.#status.since = timestampFromDate(new Date());
  }
}

function oneLine(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]/gu, " ").slice(0, LONGEST_TEXT);
}
