import { create, fromBinary } from "@bufbuild/protobuf";
import { timestampDate, timestampFromMs, type Timestamp } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import { HealthTransitionSchema } from "@operator-management/contract/ops/v1/health_pb.js";
import {
  ListHealthTransitionsResponseSchema,
  type OperatorAdminService,
} from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import type { OpenDatabase } from "../db/db.ts";
import { typedDatabaseError } from "../rpc/database-unavailable.ts";
import { decodePageToken, encodePageToken, hashArguments, pageTokenInvalid } from "../rpc/page-token.ts";
import { pageSizeOf } from "../rpc/paging.ts";
import { selectTransitions, type TransitionPlace, type TransitionRow } from "./queries.ts";

/** What links went through, from the standby if it answers: its rows may be some seconds behind. */
export function transitionsHandler({
  database,
}: {
  readonly database: Pick<OpenDatabase, "readSnapshot">;
}): Pick<ServiceImpl<typeof OperatorAdminService>, "listHealthTransitions"> {
  return {
    async listHealthTransitions({ operatorId, connectionId, startTime, endTime, pageSize, pageToken }) {
      const hash = hashArguments("ListHealthTransitions", operatorId, connectionId, text(startTime), text(endTime));
      const after = placeOf(decodePageToken(pageToken, hash, 3));
      const size = pageSizeOf(pageSize);
      const query = { operatorId, connectionId, startTime, endTime, after, limit: size + 1 };
      const rows = await read(database, (tx) => selectTransitions(tx, query));
      const page = rows.slice(0, size);
      const last = rows.length > size ? page.at(-1) : undefined;
      return create(ListHealthTransitionsResponseSchema, {
        transitions: page.map(({ record }) => fromBinary(HealthTransitionSchema, record)),
        nextPageToken: last === undefined ? "" : encodePageToken(keyOf(last), hash),
      });
    },
  };
}

async function read<T>(
  database: Pick<OpenDatabase, "readSnapshot">,
  work: Parameters<typeof database.readSnapshot<T>>[0],
) {
  try {
    return await database.readSnapshot(work, () => Promise.resolve(true));
  } catch (error) {
    throw typedDatabaseError(error);
  }
}

function keyOf({ time, operatorUid, connectionId }: TransitionRow): string[] {
  return [text(time), operatorUid, connectionId];
}

function placeOf(key: readonly string[] | undefined): TransitionPlace | undefined {
  if (key === undefined) return undefined;
  const [time = "", operatorUid = "", connectionId = ""] = key;
  const valid = /^\d{1,18}\.\d{9}$/.test(time) && /^[0-9a-f-]{36}$/.test(operatorUid);
  if (!valid) throw pageTokenInvalid();
  const [seconds = "", nanos = ""] = time.split(".");
  const parsed = { ...timestampFromMs(0), seconds: BigInt(seconds), nanos: Number(nanos) };
  // What the database could not compare.
  if (Number.isNaN(timestampDate(parsed).getTime())) throw pageTokenInvalid();
  return { time: parsed, operatorUid, connectionId };
}

/** Seconds and nanoseconds. */
function text(time: Timestamp | undefined): string {
  return time === undefined ? "" : `${time.seconds}.${String(time.nanos).padStart(9, "0")}`;
}
