import { create } from "@bufbuild/protobuf";
import { TimestampSchema, type Timestamp } from "@bufbuild/protobuf/wkt";

const SHAPE = /^(\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?([+-])(\d\d)(?::(\d\d))?(?::(\d\d))?$/;
const YEAR_1 = -62_135_596_800n;
const END_OF_YEAR_9999 = 253_402_300_799n;

/**
 * A timestamptz as PostgreSQL prints it in ISO style, in any session time zone. What a Timestamp can't hold (`infinity`, a year
 * before 1 or after 9999; we never write them) becomes the nearest one that it can, so that damaged rows can still be read.
 */
export function parseTimestamptz(text: string): Timestamp {
  const match = SHAPE.exec(text);
  if (match === null) {
    const early = text.startsWith("-") || text.endsWith("BC");
    return create(TimestampSchema, { seconds: early ? YEAR_1 : END_OF_YEAR_9999, nanos: 0 });
  }
  const [, year, month, day, hour, minute, second, fraction = "", sign, ...offset] = match;
  const [offsetHours = 0, offsetMinutes = 0, offsetSeconds = 0] = offset.map((part) => Number(part ?? 0));
  const east = (sign === "-" ? -1 : 1) * (offsetHours * 3600 + offsetMinutes * 60 + offsetSeconds);
  const local = new Date(0);
  local.setUTCFullYear(Number(year), Number(month) - 1, Number(day)); // Date.UTC would read year 50 as 1950
  local.setUTCHours(Number(hour), Number(minute), Number(second));
  return create(TimestampSchema, {
    seconds: BigInt(local.getTime() / 1000 - east),
    nanos: Number(fraction.padEnd(9, "0")),
  });
}

/** A Timestamp as PostgreSQL reads it; digits beyond the microsecond are cut, not rounded. */
export function printTimestamptz(time: Timestamp): string {
  const seconds = new Date(Number(time.seconds) * 1000).toISOString().slice(0, 19);
  const micros = Math.trunc(time.nanos / 1000);
  return `${seconds}.${String(micros).padStart(6, "0")}Z`;
}
