import { SubmitErrorClass, type SubmitError } from "@operator-management/contract/ops/v1/smpp_error_pb.js";
import { commandStatusNumber } from "./command-status.ts";

const { TEMPORARY, PERMANENT, THROTTLED, ACCOUNT, MESSAGE } = SubmitErrorClass;

/** The built-in meaning of a submit_sm_resp's command_status; what isn't here is PERMANENT: try another link, blame nobody. */
const builtIn: ReadonlyMap<number, SubmitErrorClass> = new Map([
  [0x01, MESSAGE], // ESME_RINVMSGLEN
  [0x04, TEMPORARY], // ESME_RINVBNDSTS: the session is not what we think it is
  [0x08, TEMPORARY], // ESME_RSYSERR
  [0x0b, MESSAGE], // ESME_RINVDSTADR
  [0x14, THROTTLED], // ESME_RMSGQFUL
  [0x45, TEMPORARY], // ESME_RSUBMITFAIL
  [0x58, THROTTLED], // ESME_RTHROTTLED
  [0x61, MESSAGE], // ESME_RINVSCHED
  [0x62, MESSAGE], // ESME_RINVEXPIRY
  [0x64, TEMPORARY], // ESME_RX_T_APPN
  [0xff, TEMPORARY], // ESME_RUNKNOWNERR
  [0x102, TEMPORARY], // ESME_RSERTYPUNAVAIL
]);

/** What a refused submit_sm means. */
export interface SubmitVerdict {
  readonly errorClass: SubmitErrorClass;
  /** Whether it counts as an error of the link. */
  readonly countsForHealth: boolean;
}

/** What a command_status other than ESME_ROK in submit_sm_resp means, by the connection's own `submit_errors`, else as built in. */
export function submitErrorClass(commandStatus: number, overrides: readonly SubmitError[]): SubmitVerdict {
  const override = overrides.find(({ status }) => commandStatusNumber(status) === commandStatus);
  const errorClass = override?.errorClass ?? builtIn.get(commandStatus) ?? PERMANENT;
  const countsForHealth = override?.countsForHealth ?? (errorClass === TEMPORARY || errorClass === ACCOUNT);
  return { errorClass, countsForHealth };
}
