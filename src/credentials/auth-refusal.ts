import { BindErrorClass, type BindError } from "@operator-management/contract/ops/v1/smpp_error_pb.js";

/** Names of what vendors answer to binds, as a configuration may write them; SMPP 3.4, 5.1.3. */
const numbers: Readonly<Record<string, number>> = {
  ESME_RINVBNDSTS: 0x04,
  ESME_RALYBND: 0x05,
  ESME_RSYSERR: 0x08,
  ESME_RBINDFAIL: 0x0d,
  ESME_RINVPASWD: 0x0e,
  ESME_RINVSYSID: 0x0f,
};
const builtIn: readonly number[] = [0x0e, 0x0f];

/** Whether this answer to a bind refuses system_id or password, by the vendor's own entries and else by the built-in table. */
export function isAuthRefusal(commandStatus: number, overrides: readonly BindError[]): boolean {
  const override = overrides.find(({ status }) => (numbers[status] ?? Number(status)) === commandStatus);
  return override === undefined ? builtIn.includes(commandStatus) : override.errorClass === BindErrorClass.AUTH;
}
