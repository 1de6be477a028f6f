import { BindErrorClass, type BindError } from "@operator-management/contract/ops/v1/smpp_error_pb.js";
import { commandStatusNumber } from "./command-status.ts";

/** The built-in meaning of a command_status in the answer to a bind; whatever isn't here is TEMPORARY. SMPP 3.4, 5.1.3. */
const builtIn: ReadonlyMap<number, BindErrorClass> = new Map([
  [0x05, BindErrorClass.SLOT_BUSY], // ESME_RALYBND
  [0x0e, BindErrorClass.AUTH], // ESME_RINVPASWD
  [0x0f, BindErrorClass.AUTH], // ESME_RINVSYSID
]);

/** What a refused bind means: by the connection's own `bind_errors`, else as built in. */
export function bindErrorClass(commandStatus: number, overrides: readonly BindError[]): BindErrorClass {
  const override = overrides.find(({ status }) => commandStatusNumber(status) === commandStatus);
  return override?.errorClass ?? builtIn.get(commandStatus) ?? BindErrorClass.TEMPORARY;
}
