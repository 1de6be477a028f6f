import { equals, fromBinary } from "@bufbuild/protobuf";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { HealthTransitionSchema, type HealthTransition } from "@operator-management/contract/ops/v1/health_pb.js";
import type { BusMessage } from "../backends/bus/bus.ts";
import type { FoldInput } from "./fold.ts";
import { linkKey, linkOf, type LinkId } from "./subjects.ts";

/** A link's last transition, and where it is in the stream. */
export interface RecordedState {
  readonly transition: HealthTransition;
  /** The sequence of the last message of the link's subject. */
  readonly sequence: number;
  /** When the stream took it. */
  readonly time: Date;
  /** How often in a row it went back to the state before, each time within minutes: processes that don't agree, or a link that flaps. */
  readonly reversals: number;
}

const REVERSAL_MS = 5 * 60_000;

/** The last recorded transition of every link, as the stream OPS_STATE has them. */
export class RecordedStates {
  readonly #links = new Map<string, RecordedState>();

  /** Takes a message of the stream. Which link it is about; undefined when it says nothing new. */
  take({ subject, data, sequence, time }: BusMessage): LinkId | undefined {
    const link = linkOf(subject);
    const transition = decodeTransition(data);
    return link !== undefined && transition !== undefined && this.note(link, { transition, sequence, time })
      ? link
      : undefined;
  }

  /** What this process has recorded itself. False when something newer is known. */
  note(link: LinkId, state: Omit<RecordedState, "reversals">): boolean {
    const key = linkKey(link);
    const known = this.#links.get(key);
    if (known !== undefined && state.sequence <= known.sequence && state.time <= known.time) return false;
    // It may come back over the bus before its publisher hears that it is kept. (A stream that is made anew uses its sequence for another one.)
    if (known?.sequence === state.sequence && equals(HealthTransitionSchema, known.transition, state.transition))
      return false;
    const reversed =
      known !== undefined &&
      state.transition.to === known.transition.from &&
      state.time.getTime() - known.time.getTime() < REVERSAL_MS;
    this.#links.set(key, { ...state, reversals: reversed ? known.reversals + 1 : 0 });
    return true;
  }

  of(link: LinkId): RecordedState | undefined {
    return this.#links.get(linkKey(link));
  }
}

/** What the fold wants to know of a link's last transition. */
export function forFold(state: RecordedState | undefined): FoldInput["recorded"] {
  if (state?.transition.time === undefined) return undefined;
  const { to, grade, reason, cause } = state.transition;
  // Not later than the stream took it: a recorder whose clock is ahead must not hold anything back.
  const time = new Date(Math.min(timestampDate(state.transition.time).getTime(), state.time.getTime()));
  return { state: to, grade, reason, time, cause };
}

/** The transition in the message; undefined when it can't be read. */
export function decodeTransition(data: Uint8Array): HealthTransition | undefined {
  try {
    return fromBinary(HealthTransitionSchema, data);
  } catch {
    return undefined; // the durable consumer keeps it as a dead letter
  }
}
