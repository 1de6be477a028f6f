import { setTimeout as delay } from "node:timers/promises";
import { opsReason } from "@operator-management/client";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import type { Cluster, Pod } from "../cluster/cluster.ts";
import { until } from "../cluster/until.ts";
import { untilAnswered } from "../history-checker/writers.ts";
import { adminOf, meshOf } from "./support-clients.ts";

export const KINDS = ["write", "credential write", "mesh read", "credential read", "admin read"] as const;
export type Kind = (typeof KINDS)[number];

export interface LoadPlan {
  /** Each changes an operator of its own. */
  readonly writers: number;
  /** Each reads an operator as connectors do, with its password, and as people do. */
  readonly readers: number;
  /** Each gives the connection of an operator of its own, which is in DRAFT, one password after the other. */
  readonly passwordSetters: number;
}

/** Callers without any retry, spread over the pods that take calls, until it is disposed of. */
export interface Load extends AsyncDisposable {
  readonly counts: Readonly<Record<Kind, number>>;
  /** Every call that didn't succeed. */
  readonly failures: readonly string[];
  /** Reads of a password that had been replaced since its id was read: the reader is told so and asks for the current one. */
  readonly replaced: number;
  /** Passwords by credential id: as they were set, and as readers got them. */
  readonly passwords: { readonly set: ReadonlyMap<string, string>; readonly read: ReadonlyMap<string, string> };
  /** Sends the pod no more calls, as a load balancer does before a restart; resolves when none is under way there. */
  takeOut(pod: Pod): Promise<void>;
  putIn(pod: Pod): void;
  /** Resolves when every pod that takes calls has answered so many more of each kind, or one call failed. */
  answered(count: number): Promise<void>;
}

/** At least so long between two rounds of one caller, in milliseconds. */
const PAUSES = { writer: 2_000, reader: 1_000, passwordSetter: 1_000 };
/**
 * And at least so many times as long as the round took: on a busy machine callers call less often, so that the queue for a connection stays
 * below the service's limit of 3 s. What is asked here is whether a rotation fails calls, not whether too much load does.
 */
const PAUSE_FACTOR = 15;
const PATIENCE_MS = 20_000;

export async function startRotationLoad(cluster: Cluster, plan: LoadPlan): Promise<Load> {
  const counts = Object.fromEntries(KINDS.map((kind) => [kind, 0])) as Record<Kind, number>;
  const failures: string[] = [];
  const passwords = { set: new Map<string, string>(), read: new Map<string, string>() };
  const stop = new AbortController();
  const { signal } = stop;
  const targets = new Map<Pod, Target>(cluster.pods.map((pod) => [pod, targetOn(pod, cluster)]));
  const open = (): Target[] => [...targets.values()].filter(({ isOpen }) => isOpen);
  let turn = 0;
  let replaced = 0;

  const call = async <T>(
    target: Target,
    kind: Kind,
    make: () => Promise<T>,
    mayFail?: Forgiveness,
  ): Promise<T | undefined> => {
    target.underWay++;
    try {
      const answer = await make();
      counts[kind]++;
      target.answered[kind]++;
      return answer;
    } catch (error) {
      if (!(await mayFail?.(error))) failures.push(`${kind} at ${target.name}: ${String(error)}`);
      return undefined;
    } finally {
      target.underWay--;
    }
  };
  const next = (): Target => {
    const all = open();
    const target = all[turn++ % all.length];
    if (target === undefined) throw new Error("no pod takes calls");
    return target;
  };

  const setPassword = async (operatorId: string, password: string): Promise<void> => {
    const target = next();
    const request = { operatorId, connectionId: "main", systemId: "acme", password };
    const reply = await call(target, "credential write", () => target.admin.setConnectionCredential(request));
    if (reply?.credential !== undefined) passwords.set.set(reply.credential.id, password);
  };
  const write = async (operatorId: string, displayName: string): Promise<void> => {
    const target = next();
    const request = { operatorId, operator: { displayName }, updateMask: { paths: ["display_name"] } };
    await call(target, "write", () => target.admin.updateOperator(request));
  };
  const read = async (operatorId: string): Promise<void> => {
    const target = next();
    const current = async (): Promise<string> => {
      const { operator } = await target.mesh.getOperator({ operatorId });
      return operator?.connections["main"]?.credential?.active?.id ?? "";
    };
    const credentialId = await call(target, "mesh read", current);
    if (credentialId === undefined) return;
    const wasReplaced = async (error: unknown): Promise<boolean> => {
      if (opsReason(error) !== ErrorReason.CREDENTIAL_NOT_FOUND || (await current()) === credentialId) return false;
      replaced++;
      return true;
    };
    const of = { operatorId, connectionId: "main", credentialId };
    const reply = await call(target, "credential read", () => target.mesh.getConnectionCredential(of), wasReplaced);
    if (reply?.secret !== undefined) passwords.read.set(credentialId, reply.secret.password);
    await call(target, "admin read", () => target.admin.getOperator({ operatorId }));
  };

  const first = next().admin;
  const [written, rotated] = [names("written", plan.writers), names("rotated", plan.passwordSetters)];
  for (const operatorId of [...written, ...rotated]) {
    const operator = { connections: { main: {} } };
    await untilAnswered((requestId) => first.createOperator({ operatorId, operator, requestId }));
  }
  for (const operatorId of rotated) await setPassword(operatorId, `${operatorId}-first`);
  await until("every pod knows the operators", async () => {
    for (const { mesh } of open()) await mesh.getConnectionCredential(await lastCredential(mesh, rotated.at(-1) ?? ""));
    return true;
  });

  const repeat = async (pause: number, once: (round: number) => Promise<void>): Promise<void> => {
    await delay(Math.random() * 3 * pause, undefined, { signal });
    for (let round = 0; !signal.aborted; round++) {
      const began = performance.now();
      await once(round);
      await delay(Math.max(pause, PAUSE_FACTOR * (performance.now() - began)), undefined, { signal });
    }
  };
  const callers = [
    ...written.map((id) => repeat(PAUSES.writer, (round) => write(id, `${id} ${round}`))),
    ...rotated.map((id) => repeat(PAUSES.passwordSetter, (round) => setPassword(id, `${id}-${round}`))),
    ...names("reader", plan.readers).map((_, index) =>
      repeat(PAUSES.reader, () => read(rotated[index % rotated.length] ?? "")),
    ),
  ];
  for (const caller of callers) caller.catch((error: unknown) => signal.aborted || failures.push(String(error)));

  return {
    counts,
    failures,
    passwords,
    get replaced() {
      return replaced;
    },
    takeOut: async (pod) => {
      const target = targets.get(pod);
      if (target === undefined) throw new Error(`${pod.name} takes no calls`);
      target.isOpen = false;
      await until(`no call is under way at ${pod.name}`, () => target.underWay === 0);
    },
    putIn: (pod) => void targets.set(pod, targetOn(pod, cluster)),
    answered: (count) => {
      const before = new Map(open().map((target) => [target, { ...target.answered }]));
      const isDone = (target: Target, was: Target["answered"]): boolean =>
        KINDS.every((kind) => target.answered[kind] >= was[kind] + count);
      return until(
        `every pod has answered ${count} more calls of each kind`,
        () => failures.length > 0 || [...before].every(([target, was]) => isDone(target, was)),
        60_000,
      );
    },
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await Promise.allSettled(callers);
    },
  };
}

type Forgiveness = (error: unknown) => Promise<boolean>;

/** A pod as the callers see it. */
interface Target {
  readonly name: string;
  readonly admin: ReturnType<typeof adminOf>;
  readonly mesh: ReturnType<typeof meshOf>;
  readonly answered: Record<Kind, number>;
  isOpen: boolean;
  underWay: number;
}

function targetOn(pod: Pod, cluster: Cluster): Target {
  return {
    name: pod.name,
    admin: adminOf(pod, cluster, PATIENCE_MS),
    mesh: meshOf(pod, PATIENCE_MS),
    answered: Object.fromEntries(KINDS.map((kind) => [kind, 0])) as Record<Kind, number>,
    isOpen: true,
    underWay: 0,
  };
}

async function lastCredential(mesh: Target["mesh"], operatorId: string) {
  const { operator } = await mesh.getOperator({ operatorId });
  const credentialId = operator?.connections["main"]?.credential?.active?.id ?? "";
  return { operatorId, connectionId: "main", credentialId };
}

function names(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}-${index}`);
}
