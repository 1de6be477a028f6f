import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import type { Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import type { Transaction } from "../db/db.ts";
import { liveCoverageOfOthers } from "../history/find-operator.ts";
import { opsError } from "../rpc/errors.ts";
import { darkKeys, liveCoverage, lookupKeys, lostKeys } from "./coverage.ts";
import type { Plan } from "./plan.ts";
import { someOf } from "./warnings.ts";

/** The coverage keys that this plan leaves without a route: nobody covers them by the same key or a broader one. */
export async function keysLeftDark(tx: Transaction, { before, after }: Plan): Promise<string[]> {
  const [was, is] = [before === undefined ? [] : liveCoverage(before), liveCoverage(after)];
  const others = (keys: readonly string[]): Promise<string[][]> => liveCoverageOfOthers(tx, after.id, lookupKeys(keys));
  const lost = lostKeys(was, is);
  if (lost.length === 0) return [];
  const dark = darkKeys(was, is, await others(lost));
  // A hole in another's coverage makes a part of a lost key dark, and somebody may cover just that part.
  if (dark.every((key) => lost.includes(key))) return dark;
  return darkKeys(was, is, await others([...lost, ...dark]));
}

/** @throws LAST_ROUTE when keys are left dark, unless it is forced */
export function requireOtherRoutes(operator: Operator, dark: readonly string[], force: boolean): void {
  if (force || dark.length === 0) return;
  throw opsError(
    ErrorReason.LAST_ROUTE,
    `nobody would route ${someOf(dark)} any more; give the coverage to another ENABLED connection first, or set force`,
    {
      metadata: { operator_id: operator.id, networks: dark.slice(0, 100).join(" "), count: String(dark.length) },
      preconditions: [
        { type: "LAST_ROUTE", subject: operator.id, description: `is the last route to ${someOf(dark)}` },
      ],
    },
  );
}
