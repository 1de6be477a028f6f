import { checkedAction, type Action } from "./actions.ts";
import { InvalidFieldError, number } from "./fields.ts";

/** When a step is due, in seconds: after the script's start, or after the step before it was done. */
export type Due = { readonly at: number } | { readonly after: number };

export interface ScriptStep {
  readonly due: Due;
  readonly action: Action;
}

export interface Script {
  readonly steps: readonly ScriptStep[];
}

/** A week. */
const time = number(0, 604_800, "seconds");

/** Reads `{"steps": [{"at": 5, "do": …}, …]}`. Throws InvalidFieldError, which names the step (counted from 1) and the field. */
export function checkedScript(value: unknown): Script {
  const { steps, ...unknown } = (typeof value === "object" && value !== null ? value : {}) as Record<string, unknown>;
  if (!Array.isArray(steps) || Object.keys(unknown).length > 0) {
    throw new InvalidFieldError('a script must be a JSON object {"steps": […]} and nothing more');
  }
  let latest = 0;
  return {
    steps: steps.map((step: unknown, i) => {
      const path = `step ${i + 1}: `;
      const checked = checkedStep(step, path);
      if ("at" in checked.due) {
        if (checked.due.at < latest) {
          throw new InvalidFieldError(`${path}at must not be earlier than the ${latest} of a step before it`);
        }
        latest = checked.due.at;
      }
      return checked;
    }),
  };
}

function checkedStep(step: unknown, path: string): ScriptStep {
  if (typeof step !== "object" || step === null || Array.isArray(step)) {
    throw new InvalidFieldError(`${path}it must be a JSON object`);
  }
  const { at, after, ...action } = step as Record<string, unknown>;
  if ((at === undefined) === (after === undefined)) {
    throw new InvalidFieldError(
      `${path}there must be either at (seconds from the start) or after (seconds from the step before)`,
    );
  }
  const due = at === undefined ? { after: time(after, `${path}after`) } : { at: time(at, `${path}at`) };
  return { due, action: checkedAction(action, path) };
}
