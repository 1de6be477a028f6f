import { errors } from "./smpp.ts";

export const ESME_ROK = 0;

/** The status as people know it, e.g. `ESME_RINVPASWD 0x0E`. */
export function statusName(status: number): string {
  const hex = `0x${status.toString(16).toUpperCase().padStart(2, "0")}`;
  const name = Object.keys(errors).find((each) => errors[each] === status);
  return name === undefined ? hex : `${name} ${hex}`;
}
