import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { ConnectError } from "@connectrpc/connect";
import { OperatorCatalog, opsReason } from "@operator-management/client";
import { createMeshClient } from "@operator-management/client/node";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { CredentialState } from "@operator-management/contract/ops/v1/credential_pb.js";
import type { Cluster, Pod } from "../cluster/cluster.ts";
import { until } from "../cluster/until.ts";
import { adminOf, meshOf } from "./support-clients.ts";
import { healthSightings, type HealthSightings } from "./support-health-sightings.ts";
import { startReporters, type Reporters } from "./support-reporters.ts";
import { enableOperator } from "./support-routed-operator.ts";
import { readHistory, operatorOf } from "./support-truth.ts";

/** What is asked of every pod all the time: the columns of the design's failure table. */
export const KINDS = [
  "mesh read",
  "admin read",
  "write",
  "credential read",
  "credential write",
  "health",
  "readiness",
] as const;
export type Kind = (typeof KINDS)[number];

/** One call and what came of it. */
export interface Call {
  readonly kind: Kind;
  readonly pod: string;
  /** performance.now() */
  readonly started: number;
  readonly ended: number;
  /** `OK`, the error's reason, or its code where it has none; of health the state of a link that is well, unless it is UP. */
  readonly outcome: string;
  /** The answer says that it may be old. */
  readonly stale: boolean;
}

/** Pause between two calls of a kind at one pod, in milliseconds. */
const PAUSES: Readonly<Record<Kind, number>> = {
  "mesh read": 25,
  "admin read": 150,
  write: 50,
  "credential read": 150,
  "credential write": 300,
  health: 150,
  readiness: 200,
};

/** A caller's patience in milliseconds: memory answers at once, a database that is silent is given up by the service before this. */
const PATIENCE: Readonly<Record<Kind, number>> = {
  "mesh read": 5_000,
  "admin read": 10_000,
  write: 30_000,
  "credential read": 10_000,
  "credential write": 30_000,
  health: 5_000,
  readiness: 5_000,
};

/** Callers of all kinds at every pod, nodes that report health, and a catalog of the SDK that follows it, until it is disposed of. */
export interface Activity extends AsyncDisposable {
  /** Everything that has ended so far. */
  readonly calls: readonly Call[];
  /** Writes that were acknowledged: operator and the name it was given. */
  readonly acknowledged: readonly { readonly operatorId: string; readonly displayName: string }[];
  /** How often a catalog had to list again, with the reason. */
  readonly resyncs: readonly string[];
  /** Resolves when each of the pods has answered `count` calls of every kind that began after `since`. */
  answered(since: number, count: number, pods?: readonly Pod[]): Promise<void>;
  /** Resolves when each of the pods has answered the last `count` calls of every kind with OK, and not stale, all begun after `since`. */
  well(since: number, count?: number): Promise<void>;
  /** What pods tell of the reported links. */
  readonly health: HealthSightings;
  readonly reporters: Pick<Reporters, "bus" | "steady">;
  /** Resolves when every catalog holds what the database holds; how many revisions that is. @throws where they stay different */
  converged(): Promise<number>;
}

export async function startActivity(cluster: Cluster): Promise<Activity> {
  const { pods } = cluster;
  const [first] = pods;
  if (first === undefined) throw new Error("a cluster without pods");
  await enableOperator(() => adminOf(first, cluster, 20_000), "acme", "26201");
  const acme = { operatorId: "acme", connectionId: "main" };
  const { versions } = await adminOf(first, cluster, 20_000).getCredentialStatus(acme);
  const credentialId = versions.find(({ state }) => state === CredentialState.ACTIVE)?.id;
  if (credentialId === undefined) throw new Error("acme has no active credential");

  const reporters = await startReporters(cluster);
  const operatorIds = [reporters.steady, reporters.flapping].map(({ operatorId }) => operatorId);
  const health = healthSightings(reporters);
  const stop = new AbortController();
  const { signal } = stop;
  const calls: Call[] = [];
  const acknowledged: { operatorId: string; displayName: string }[] = [];
  const resyncs: string[] = [];
  const problems: unknown[] = [];

  const call = async (kind: Kind, pod: Pod, make: () => Promise<object>): Promise<boolean> => {
    const started = performance.now();
    const note = (outcome: string, stale: boolean): void => {
      if (signal.aborted) return; // it may have been cut short
      calls.push({ kind, pod: pod.name, started, ended: performance.now(), outcome, stale });
    };
    try {
      const answer = await make();
      const outcome = "outcome" in answer ? String(answer.outcome) : "OK";
      note(outcome, "staleSince" in answer && answer.staleSince !== undefined);
      return true;
    } catch (error) {
      note(outcomeOf(error), false);
      return false;
    }
  };

  /** The same again and again until it succeeds: with one request id, as the SDK does. */
  const write = async (pod: Pod, kind: "write" | "credential write", make: (requestId: string) => Promise<object>) => {
    const requestId = randomUUID();
    while (!(await call(kind, pod, () => make(requestId)))) {
      if (signal.aborted) return false;
      await delay(PAUSES[kind], undefined, { signal });
    }
    return true;
  };

  const loops = (pod: Pod): Record<Kind, () => Promise<unknown>> => {
    const admin = (kind: Kind) => adminOf(pod, cluster, PATIENCE[kind]);
    const mesh = meshOf(pod, PATIENCE["mesh read"]);
    const asAdmin = { reads: admin("admin read"), writes: admin("write") };
    const written = `written-${pod.name}`;
    const secret = `secret-${pod.name}`;
    let count = 0;
    return {
      "mesh read": () => call("mesh read", pod, () => mesh.getOperator({ operatorId: "acme" })),
      "admin read": () => call("admin read", pod, () => asAdmin.reads.getOperator({ operatorId: "acme" })),
      write: async () => {
        const displayName = `${pod.name} ${count++}`;
        const change = { operatorId: written, operator: { displayName }, updateMask: { paths: ["display_name"] } };
        const done = await write(pod, "write", (requestId) => asAdmin.writes.updateOperator({ ...change, requestId }));
        if (done) acknowledged.push({ operatorId: written, displayName });
      },
      "credential read": () =>
        call("credential read", pod, () => mesh.getConnectionCredential({ ...acme, credentialId })),
      "credential write": () => {
        const credential = { operatorId: secret, connectionId: "main", systemId: "acme", password: `pw-${count}` };
        return write(pod, "credential write", (requestId) =>
          asAdmin.writes.setConnectionCredential({ ...credential, requestId }),
        );
      },
      health: () =>
        call("health", pod, async () => {
          const started = performance.now();
          const { operators, staleSince } = await mesh.getHealth({ operatorIds });
          return { staleSince, outcome: health.note(pod, started, operators) };
        }),
      readiness: () =>
        call("readiness", pod, async () => {
          const timeout = AbortSignal.timeout(PATIENCE.readiness);
          const { status } = await fetch(`${pod.service.metricsUrl}/readyz`, { signal: timeout });
          if (status !== 200) throw new Error(`readyz ${status}`);
          return {};
        }),
    };
  };

  for (const { name } of pods) {
    for (const operatorId of [`written-${name}`, `secret-${name}`]) {
      await adminOf(first, cluster, 20_000).createOperator({ operatorId, operator: { connections: { main: {} } } });
    }
  }
  const catalogs = await Promise.all(
    pods.map(async (pod) => {
      const client = createMeshClient({ baseUrl: pod.service.url });
      const catalog = await OperatorCatalog.start({ client, bookmarkIntervalMs: 2_000, ready: { timeoutMs: 30_000 } });
      catalog.on("resync", ({ reason }) => resyncs.push(`${pod.name}: ${String(reason)}`));
      return catalog;
    }),
  );
  const running = pods.flatMap((pod) =>
    Object.entries(loops(pod)).map(async ([kind, once]) => {
      while (!signal.aborted) {
        await once();
        await delay(PAUSES[kind as Kind], undefined, { signal });
      }
    }),
  );
  for (const loop of running) loop.catch((error: unknown) => signal.aborted || problems.push(error));

  const endedSince = (since: number, pod: Pod, kind: Kind): Call[] =>
    calls.filter((each) => each.kind === kind && each.pod === pod.name && each.started >= since);
  const everywhere = (which: readonly Pod[], holds: (pod: Pod, kind: Kind) => boolean): boolean => {
    if (problems.length > 0) throw new AggregateError(problems, "a caller failed in itself");
    return which.every((pod) => KINDS.every((kind) => holds(pod, kind)));
  };
  return {
    calls,
    acknowledged,
    resyncs,
    answered: (since, count, which = pods) =>
      until(
        `every pod has answered ${count} calls of each kind`,
        () => everywhere(which, (pod, kind) => endedSince(since, pod, kind).length >= count),
        180_000,
      ),
    well: (since, count = 3) =>
      until(
        `every pod answers everything again: ${KINDS.join(", ")}`,
        () =>
          everywhere(pods, (pod, kind) => {
            const last = endedSince(since, pod, kind).slice(-count);
            return last.length === count && last.every(({ outcome, stale }) => outcome === "OK" && !stale);
          }),
        120_000,
      ),
    health,
    reporters,
    converged: async () => {
      let revisions = 0;
      await until(
        "every catalog of the SDK holds what the database holds",
        async () => {
          const { rows } = await readHistory(cluster.postgres);
          revisions = rows.length;
          const truth = new Map(rows.map((row) => [row.operatorId, operatorOf(row)]));
          return catalogs.every((catalog) =>
            [...truth].every(([id, operator]) => catalog.operator(id)?.displayName === operator.displayName),
          );
        },
        60_000,
      );
      return revisions;
    },
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await Promise.allSettled(running);
      await reporters[Symbol.asyncDispose]();
      await Promise.all(catalogs.map((catalog) => catalog.close()));
    },
  };
}

function outcomeOf(error: unknown): string {
  const reason = opsReason(error);
  if (reason !== undefined) return ErrorReason[reason];
  return error instanceof ConnectError ? `code ${error.code}: ${error.rawMessage}` : String(error);
}
