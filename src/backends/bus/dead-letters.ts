import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { DeadLetterSchema } from "@operator-management/contract/ops/v1/event_pb.js";
import type { BusMessage, ConsumerSpec } from "./bus.ts";

/** The log's line for each, at error: a person should look. */
export const BURIED = "a message that nobody can use was moved to OPS_DLQ";

/** What is kept of a message, in bytes; the bus takes four times as much. */
const MOST_DATA = 256 * 1024;
/** In characters. */
const MOST_ERROR = 2_000;

/** What to publish about a message that its consumer gives up; published again within two minutes it is dropped. */
export function deadLetter(
  { subject, sequence, time, data }: BusMessage,
  { stream, durable }: ConsumerSpec,
  error: string,
): { readonly subject: string; readonly data: Uint8Array; readonly messageId: string } {
  const letter = create(DeadLetterSchema, {
    stream,
    subject,
    sequence: BigInt(sequence),
    time: timestampFromDate(time),
    consumer: durable,
    error: error.slice(0, MOST_ERROR),
    data: data.subarray(0, MOST_DATA),
  });
  return {
    subject: `ops.dlq.v1.${stream}`,
    data: toBinary(DeadLetterSchema, letter),
    // With the time, as a stream that is made anew counts from 1.
    messageId: `${stream} ${durable} ${sequence} ${time.getTime()}`,
  };
}
