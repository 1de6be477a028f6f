import { BindErrorClass, type BindError } from "@operator-management/contract/ops/v1/smpp_error_pb.js";

/** Names of what vendors answer to binds, as a configuration may write them; SMPP 3.4, 5.1.3. */
const numbers: Readonly<Record<string, number>> = {
  ESME_RINVMSGLEN: 0x01,
  ESME_RINVCMDLEN: 0x02,
  ESME_RINVCMDID: 0x03,
  ESME_RINVBNDSTS: 0x04,
  ESME_RALYBND: 0x05,
  ESME_RSYSERR: 0x08,
  ESME_RBINDFAIL: 0x0d,
  ESME_RINVPASWD: 0x0e,
  ESME_RINVSYSID: 0x0f,
  ESME_RMSGQFUL: 0x14,
  ESME_RINVSYSTYP: 0x53,
  ESME_RTHROTTLED: 0x58,
  ESME_RUNKNOWNERR: 0xff,
};
const builtIn: ReadonlyMap<number, BindErrorClass> = new Map([
  [0x05, BindErrorClass.SLOT_BUSY],
  [0x0e, BindErrorClass.AUTH],
  [0x0f, BindErrorClass.AUTH],
]);

/** What a command_status in the answer to a bind means, by the vendor's own entries and else by the built-in table. */
export function bindErrorClass(commandStatus: number, overrides: readonly BindError[]): BindErrorClass {
  const override = overrides.find(({ status }) => (numbers[status] ?? Number(status)) === commandStatus);
  return override?.errorClass ?? builtIn.get(commandStatus) ?? BindErrorClass.TEMPORARY;
}
