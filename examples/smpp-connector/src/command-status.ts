import { BindErrorClass, type BindError } from "@operator-management/contract/ops/v1/smpp_error_pb.js";
import { errors } from "./smpp.ts";

export const ESME_ROK = 0;

/** Built in for the answers to a bind; SMPP 3.4, 5.1.3. Whatever is not here is TEMPORARY. */
const builtIn: ReadonlyMap<number, BindErrorClass> = new Map([
  [0x05, BindErrorClass.SLOT_BUSY],
  [0x0e, BindErrorClass.AUTH],
  [0x0f, BindErrorClass.AUTH],
]);

/** The status as people know it, e.g. `ESME_RINVPASWD 0x0E`. */
export function statusName(status: number): string {
  const hex = `0x${status.toString(16).toUpperCase().padStart(2, "0")}`;
  const name = Object.keys(errors).find((each) => errors[each] === status);
  return name === undefined ? hex : `${name} ${hex}`;
}

/** What a refused bind means at this vendor: its own entries override the built-in table. */
export function bindErrorClass(status: number, overrides: readonly BindError[]): BindErrorClass {
  const override = overrides.find((entry) => statusNumber(entry.status) === status);
  return override?.errorClass ?? builtIn.get(status) ?? BindErrorClass.TEMPORARY;
}

function statusNumber(text: string): number | undefined {
  return text.startsWith("0x") ? Number(text) : errors[text];
}
