import { opened } from "../cluster/opened.ts";
import type { Cluster, Pod } from "../cluster/cluster.ts";
import type { AdminClient } from "../history-checker/writers.ts";
import { adminOf } from "./support-clients.ts";
import { startCuttingProxy, type TransactionStep } from "./support-cutting-proxy.ts";
import { startHoldingVault, type HeldRequest, type HoldAt } from "./support-holding-vault.ts";

/** A statement of a call: which of the call's writing transactions, and which statement there; 0 is `begin`. */
export interface Statement {
  readonly transaction: number;
  readonly index: number;
  readonly sql: string;
}

/** Stops the pod somewhere in its next call. Resolves when it stands there. */
export type Stop<T = unknown> = () => Promise<T>;

type AnyCall<T> = (admin: AdminClient) => Promise<T>;

/** One more pod of a cluster, whose ways to PostgreSQL and Vault can be held at any step, so that it can be killed exactly there. */
export interface DoomedPod extends AsyncDisposable {
  readonly pod: Pod;
  /** Before the statement reaches PostgreSQL. */
  beforeStatement(statement: Statement): Stop;
  beforeCommit(transaction: number): Stop;
  /** When PostgreSQL has obeyed a COMMIT and nobody has been told. */
  afterCommit(transaction: number): Stop;
  atRequestToVault(kind: RegExp, at: HoldAt): Stop<HeldRequest>;
  /** Makes the call, undisturbed, and returns the statements of its writing transactions, of which there must be so many. */
  watch(transactions: number, call: AnyCall<unknown>): Promise<readonly Statement[]>;
  /** Makes the call and kills the pod where it stops. The pod is then being started again. @throws Error when the call ends before */
  killAt<T>(stop: Stop<T>, call: AnyCall<unknown>): Promise<T>;
  /** The pod is ready again. */
  restarted(): Promise<void>;
}

export function startDoomedPod(cluster: Cluster): Promise<DoomedPod> {
  return opened(async (closing) => {
    const database = await startCuttingProxy(cluster.postgres.primary.port);
    closing.push("way to PostgreSQL", async () => database[Symbol.asyncDispose]());
    const vault = await startHoldingVault(cluster.vault.addr);
    closing.push("way to Vault", async () => vault[Symbol.asyncDispose]());
    const url = `postgres://ops_service@127.0.0.1:${database.port}/ops`;
    const pod = await cluster.startPod({ env: { OPS_POSTGRES_URL: url, OPS_VAULT_ADDR: vault.addr } });
    let restarting: Promise<void> = Promise.resolve();
    closing.push("start", () => restarting.catch(() => {})); // `restarted` has told of it
    const admin = (): AdminClient => adminOf(pod, cluster, 20_000);
    const stopWhere =
      (isThere: (statement: Statement) => boolean, kind: "hold" | "hold the answer"): Stop =>
      () => {
        const count = statementCounter();
        const isNow = (step: TransactionStep): boolean => {
          const statement = count(step);
          return statement !== undefined && isThere(statement);
        };
        return database.injure(isNow, { kind });
      };

    return {
      pod,
      beforeStatement: ({ transaction, index }) =>
        stopWhere((at) => at.transaction === transaction && at.index === index, "hold"),
      beforeCommit: (transaction) => stopWhere((at) => at.transaction === transaction && at.sql === "commit", "hold"),
      afterCommit: (transaction) =>
        stopWhere((at) => at.transaction === transaction && at.sql === "commit", "hold the answer"),
      atRequestToVault: (kind, at) => () => vault.hold(kind, at),
      watch: async (transactions, call) => {
        await restarting;
        const seen: Statement[] = [];
        const count = statementCounter();
        const isEnd = (step: TransactionStep): boolean => {
          const statement = count(step);
          if (statement) seen.push(statement);
          return statement?.sql === "commit" && statement.transaction === transactions - 1;
        };
        const ended = database.injure(isEnd, { kind: "cut the answer", after: Infinity }); // all of it passes
        await call(admin());
        await ended;
        return seen;
      },
      killAt: async (stop, call) => {
        await restarting;
        const standing = stop();
        const ended = call(admin()).then(
          () => "succeeded",
          (error: unknown) => `failed (${String(error)})`,
        );
        const stopped = await Promise.race([
          standing,
          ended.then((how) => {
            throw new Error(`the call ${how} before it got there`);
          }),
        ]);
        await pod.kill();
        await ended;
        restarting = pod.restart();
        restarting.catch(() => {}); // `restarted` tells of it
        return stopped;
      },
      restarted: () => restarting,
    };
  });
}

/** Tells the statements from the other messages and counts them, and the transactions: one after the other, as of a single call. */
function statementCounter(): (step: TransactionStep) => Statement | undefined {
  let [transaction, index] = [-1, -1];
  return ({ index: message, type, sql }) => {
    if (message === 0) [transaction, index] = [transaction + 1, -1];
    if (type !== "Q" && type !== "P") return undefined;
    index++;
    return { transaction, index, sql };
  };
}

/** Where something begins, waits, is written or ends. A kill at a mere read is the same as one at the next of these. */
export function isStep({ sql }: Statement): boolean {
  return !sql.startsWith("select") || sql.includes("for update");
}
