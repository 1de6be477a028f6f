import { InvalidFieldError } from "./fields.ts";
import { checkedPatch, patched } from "./behaviour.ts";
import type { Account } from "./account.ts";

/**
 * `accounts` with what `ID:PATH=VALUE` says, as in `acme01:errors.ESME_RSYSERR=0.1`, in the behaviour of one of them. The
 * value is JSON, or else text. Throws InvalidFieldError.
 */
export function withBehaviour(accounts: readonly Account[], setting: string): Account[] {
  const [, id, path, text] = /^([^:]+):([\w.]+)=(.*)$/s.exec(setting) ?? [];
  if (id === undefined || path === undefined || text === undefined) {
    throw new InvalidFieldError("it must be systemId:path=value, such as acme01:throttle.perSecond=20");
  }
  if (!accounts.some(({ systemId }) => systemId === id)) {
    throw new InvalidFieldError("no account with this systemId is given by --account or --accounts-file");
  }
  const patch = path.split(".").reduceRight<unknown>((inner, key) => ({ [key]: inner }), valueOf(text));
  return accounts.map((account) =>
    account.systemId === id
      ? { ...account, behaviour: patched(account.behaviour ?? {}, checkedPatch(patch, "")) }
      : account,
  );
}

function valueOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
