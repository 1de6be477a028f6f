import { DiscardPolicy, nanos, RetentionPolicy, StorageType, type JetStreamManager, type StreamConfig } from "nats";
import type { StreamName } from "./bus.ts";
import { API_ERROR, apiErrorCode, isRefusal, reasonText } from "./nats-errors.ts";
import { DUPLICATE_WINDOW_MS, streamNames, streams } from "./streams.ts";

/** Who looks after the streams. */
export interface StreamCare {
  /** `ensure`: make and adapt them; `expect`: somebody else does, only look. */
  readonly streams: "ensure" | "expect";
  /** Of each stream that is made here. */
  readonly replicas: number;
}

/**
 * Looks whether every stream is there and keeps its messages as it should, and sees to it.
 * @returns what a person must put right; empty when all is well
 * @throws NatsError when JetStream doesn't answer
 */
export async function careForStreams(jsm: JetStreamManager, care: StreamCare): Promise<readonly string[]> {
  const problems: string[] = [];
  for (const name of streamNames) {
    const wanted = streamConfig(name, care.replicas);
    try {
      const found = await findStream(jsm, name);
      const problem = found === undefined ? await missing(jsm, wanted, care) : await adapt(jsm, found, wanted, care);
      if (problem !== undefined) problems.push(`${name} ${problem}`);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      problems.push(`${name} can't be had: ${reasonText(error)}`);
    }
  }
  return problems;
}

type Wanted = Partial<StreamConfig> & Pick<StreamConfig, "name">;

function streamConfig(name: StreamName, replicas: number): Wanted {
  const { subject, retention, perSubject, maxAgeMs } = streams[name];
  return {
    name,
    subjects: [subject],
    retention: retention === "workqueue" ? RetentionPolicy.Workqueue : RetentionPolicy.Limits,
    storage: StorageType.File,
    num_replicas: replicas,
    max_msgs_per_subject: perSubject ?? -1,
    max_age: nanos(maxAgeMs ?? 0),
    duplicate_window: nanos(Math.min(DUPLICATE_WINDOW_MS, maxAgeMs ?? Infinity)),
    // Should somebody set a limit by hand: what must be worked off is refused at the door, never dropped.
    discard: retention === "workqueue" ? DiscardPolicy.New : DiscardPolicy.Old,
  };
}

async function findStream(jsm: JetStreamManager, name: StreamName): Promise<StreamConfig | undefined> {
  try {
    return (await jsm.streams.info(name)).config;
  } catch (error) {
    if (apiErrorCode(error) === API_ERROR.streamNotFound) return undefined;
    throw error;
  }
}

async function missing(jsm: JetStreamManager, wanted: Wanted, care: StreamCare): Promise<string | undefined> {
  if (care.streams === "expect") return "is missing, and OPS_NATS_STREAMS=expect says that somebody else makes it";
  await jsm.streams.add(wanted);
  return undefined;
}

/** What an existing stream can't be changed in. */
const FIXED = ["retention", "storage"] as const;
/** What somebody else who makes the streams must have kept to. */
const ESSENTIAL = ["retention", "max_msgs_per_subject", "max_age"] as const;

async function adapt(
  jsm: JetStreamManager,
  found: StreamConfig,
  wanted: Wanted,
  care: StreamCare,
): Promise<string | undefined> {
  const differing = (keys: readonly (keyof StreamConfig)[]): (keyof StreamConfig)[] =>
    keys.filter((key) => JSON.stringify(found[key]) !== JSON.stringify(wanted[key]));
  const [wrong] = differing(care.streams === "ensure" ? FIXED : ESSENTIAL);
  if (wrong !== undefined)
    return `has ${wrong} ${JSON.stringify(found[wrong])} but needs ${JSON.stringify(wanted[wrong])}`;
  const changes = differing(Object.keys(wanted) as (keyof StreamConfig)[]);
  if (care.streams === "expect" || changes.length === 0) return undefined;
  await jsm.streams.update(wanted.name, Object.fromEntries(changes.map((key) => [key, wanted[key]])));
  return undefined;
}
