import type { MaintenanceWindow } from "@operator-management/contract/ops/v1/maintenance_pb.js";

/** What keeps a window from being understood: the field, and what to do about it. */
export interface WindowProblem {
  readonly field: "rrule" | "time_zone";
  readonly description: string;
}

const MOST_PER_DAY = 24;
const DAY = "(MO|TU|WE|TH|FR|SA|SU)";

/** The parts of an RRULE that are understood, and their values. RFC 5545: 3.3.10. */
const parts: ReadonlyMap<string, { readonly valid: (value: string) => boolean; readonly text: string }> = new Map([
  ["FREQ", { valid: () => true, text: "" }], // the contract checks it
  ["INTERVAL", numbers(1, 1_000, { most: 1 })],
  ["COUNT", numbers(1, 1_000, { most: 1 })],
  ["UNTIL", { valid: isUtcTime, text: "a time in UTC such as 20261231T235959Z" }],
  ["BYMONTH", numbers(1, 12)],
  ["BYMONTHDAY", numbers(1, 31, { negative: true })],
  ["BYDAY", { valid: isDays, text: "days such as MO or, with FREQ=MONTHLY or YEARLY, 2MO and -1SU" }],
  ["BYSETPOS", numbers(1, 366, { negative: true })],
  ["BYHOUR", numbers(0, 23)],
  ["BYMINUTE", numbers(0, 59)],
  ["WKST", { valid: (value) => new RegExp(`^${DAY}$`).test(value), text: "a day such as MO" }],
]);

/** What is wrong with a window's recurrence beyond the contract's rules; undefined: nothing. A window that happens once has none. */
export function windowProblem({ rrule, timeZone }: MaintenanceWindow): WindowProblem | undefined {
  if (timeZone !== "" && !isTimeZone(timeZone)) {
    return { field: "time_zone", description: "is no IANA time zone; write it like Europe/Berlin or UTC" };
  }
  const description = rrule === "" ? undefined : ruleProblem(rrule);
  return description === undefined ? undefined : { field: "rrule", description };
}

function ruleProblem(rrule: string): string | undefined {
  const pairs = rrule.split(";").map((part) => part.split("=", 2) as [string, string | undefined]);
  const given = new Map(pairs.map(([name, value = ""]) => [name, value]));
  const frequency = given.get("FREQ") ?? "";
  if (!/^(HOURLY|DAILY|WEEKLY|MONTHLY|YEARLY)$/.test(frequency)) {
    return "must begin with FREQ=HOURLY, DAILY, WEEKLY, MONTHLY or YEARLY";
  }
  for (const [name, value = ""] of pairs) {
    const part = parts.get(name);
    if (part === undefined) return `has ${name}, which is not supported; possible: ${[...parts.keys()].join(", ")}`;
    if (!part.valid(value)) return `${name}=${value}: must be ${part.text}`;
  }
  if (given.size < pairs.length) return "names a part twice; name each once";
  if (given.has("COUNT") && given.has("UNTIL")) return "has COUNT and UNTIL; give one of them";
  if (!/^(MONTHLY|YEARLY)$/.test(frequency)) {
    if (/[0-9]/.test(given.get("BYDAY") ?? "")) return "BYDAY with a number needs FREQ=MONTHLY or YEARLY";
    if (given.has("BYSETPOS")) return "BYSETPOS needs FREQ=MONTHLY or YEARLY";
  }
  if (frequency === "WEEKLY" && given.has("BYMONTHDAY")) return "BYMONTHDAY can't be combined with FREQ=WEEKLY";
  const perDay =
    (frequency === "HOURLY" ? MOST_PER_DAY : countOf(given.get("BYHOUR"))) * countOf(given.get("BYMINUTE"));
  if (perDay > MOST_PER_DAY) return `would begin ${perDay} times a day; at most ${MOST_PER_DAY} are possible`;
  return undefined;
}

/** As `Intl` knows it; an offset such as +01:00 is none. */
export function isTimeZone(name: string): boolean {
  if (/^[+-]/.test(name)) return false;
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}

function numbers(least: number, most: number, more: { readonly negative?: boolean; readonly most?: number } = {}) {
  const { negative = false, most: longest = 100 } = more;
  const valid = (value: string): boolean => {
    const values = value.split(",");
    return (
      values.length <= longest &&
      values.every((each) => {
        const size = Number(negative ? each.replace(/^[+-]/, "") : each);
        return /^[+-]?[0-9]{1,4}$/.test(each) && size >= least && size <= most;
      })
    );
  };
  const range = `${least} to ${most}${negative ? `, or -${most} to -${least}` : ""}`;
  return { valid, text: longest === 1 ? `a number from ${range}` : `numbers from ${range}` };
}

function isDays(value: string): boolean {
  return new RegExp(`^([+-]?([1-9]|[1-4][0-9]|5[0-3]))?${DAY}(,([+-]?([1-9]|[1-4][0-9]|5[0-3]))?${DAY})*$`).test(value);
}

function isUtcTime(value: string): boolean {
  const [, year, month, day, hour, minute, second] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(value) ?? [];
  const text = `${year}-${month}-${day}T${hour}:${minute}:${second}.000Z`;
  const time = new Date(text);
  return !Number.isNaN(time.getTime()) && time.toISOString() === text;
}

function countOf(list: string | undefined): number {
  return list === undefined ? 1 : list.split(",").length;
}
