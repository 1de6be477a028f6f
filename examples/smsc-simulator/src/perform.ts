import type { Action } from "./actions.ts";
import type { PasswordMode } from "./passwords.ts";
import type { Smsc } from "./smsc.ts";

/**
 * Does what `action` says and returns what there is to tell. Rejects with UnknownAccountError, InvalidAccountError,
 * InvalidFieldError or the error of a port that cannot be listened on.
 */
export async function perform(smsc: Smsc, action: Action): Promise<object> {
  switch (action.do) {
    case "account":
      return { account: smsc.setAccount(action.account, action.set) };
    case "behave":
      smsc.behave(action.account, action.set);
      return {};
    case "normal":
      smsc.setAccount(action.account, { behaviour: {} });
      return {};
    case "password":
      smsc.changePassword(action.account, action.password, passwordMode(action, smsc.now()));
      return {};
    case "disconnect":
      return {
        dropped: smsc.disconnect(action.account, {
          reset: action.how === "reset",
          dead: action.hold ?? false,
          role: action.role,
        }),
      };
    case "release":
      return { released: smsc.releaseHeld(action.account) };
    case "unlock":
      smsc.unlock(action.account);
      return {};
    case "port":
      await smsc.setPort(action.mode, action.port);
      return {};
    case "say":
      smsc.say(action.text);
      return {};
    default:
      return action satisfies never;
  }
}

function passwordMode(action: Action & { do: "password" }, now: number): PasswordMode {
  const at = (moment: number | Date) => (typeof moment === "number" ? now + moment * 1000 : moment.getTime());
  switch (action.mode) {
    case "REPLACE":
      return { mode: action.mode };
    case "SWITCH_AT":
      return { mode: action.mode, time: at(action.switchAt ?? 0) + (action.lateBy ?? 0) * 1000 };
    case "BOTH_VALID":
      return { mode: action.mode, oldUntil: action.oldUntil === undefined ? Infinity : at(action.oldUntil) };
    default:
      return action.mode satisfies never;
  }
}
