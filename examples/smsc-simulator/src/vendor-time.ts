import { InvalidFieldError, type Check } from "./fields.ts";

export const checkTimeZone: Check<string> = (value, path) => {
  try {
    if (typeof value === "string") {
      new Intl.DateTimeFormat("en", { timeZone: value });
      return value;
    }
  } catch {
    // Intl's RangeError says no more than the text below.
  }
  throw new InvalidFieldError(`${path} must be a time zone: UTC, Europe/Berlin, +03:00`);
};

/** `time` (milliseconds since 1970) as receipts write it, YYMMDDhhmm with or without ss, in the vendor's time zone. */
export function vendorTime(time: number, timeZone: string, dates: "minutes" | "seconds"): string {
  const format = new Intl.DateTimeFormat("en-GB", {
    timeZone,
    hourCycle: "h23",
    year: "2-digit",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
  });
  const parts = new Map(format.formatToParts(time).map(({ type, value }) => [type, value]));
  const names = [
    "year",
    "month",
    "day",
    "hour",
    "minute",
    ...(dates === "seconds" ? ["second" as const] : []),
  ] as const;
  return names.map((name) => parts.get(name)).join("");
}
