import type { Timestamp } from "@bufbuild/protobuf/wkt";

/** Milliseconds since 1970, with a fraction. */
export function milliseconds({ seconds, nanos }: Timestamp): number {
  return Number(seconds) * 1_000 + nanos / 1_000_000;
}
