import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import type { ConnectionSchema } from "@operator-management/contract/ops/v1/connection_pb.js";
import type { HealthPolicySchema } from "@operator-management/contract/ops/v1/health_policy_pb.js";
import type { OperatorSchema } from "@operator-management/contract/ops/v1/operator_pb.js";
import type { Account } from "../../examples/smsc-simulator/src/account.ts";
import type { AccountState } from "../../examples/smsc-simulator/src/state.ts";
import { startSmsc, type Smsc } from "../../examples/smsc-simulator/src/smsc.ts";
import type { Cluster, Pod } from "../cluster/cluster.ts";
import { opened } from "../cluster/opened.ts";
import { startServer, type ServerProcess } from "../cluster/server-process.ts";
import { untilAnswered, type AdminClient } from "../history-checker/writers.ts";
import { adminOf } from "./support-clients.ts";

const CONNECTOR = join(import.meta.dirname, "../../examples/smpp-connector/src/main.ts");
const REPORT_INTERVAL_S = 1;

type Init<T> = Exclude<T, { readonly $typeName: string }>;

/** A link to a vendor. Its id is that of the operator and the system_id of its account; the connection's is `main`. */
export interface LinkPlan {
  readonly id: string;
  /** Which connector runs it; the others have no such label. */
  readonly connector: number;
  readonly connection?: Init<MessageInitShape<typeof ConnectionSchema>>;
  readonly healthPolicy?: Init<MessageInitShape<typeof HealthPolicySchema>>;
  readonly account?: Partial<Pick<Account, "maxBinds" | "systemType" | "behaviour">>;
  /** What is stored here is another password than the vendor's. */
  readonly mistyped?: boolean;
}

/** Vendors, played by one SMSC simulator in this process, and connectors, each a process that knows one pod. */
export interface SmppStage extends AsyncDisposable {
  readonly smsc: Smsc;
  /** Where vendors listen, and another port of theirs: there a bind isn't answered before somebody opens it. */
  readonly ports: { readonly usual: number; readonly other: number };
  /** The n-th one reports to the n-th pod. */
  readonly connectors: readonly ServerProcess[];
  /** The vendors' password, of all accounts. */
  readonly password: string;
  /** Of the n-th pod. */
  readonly admin: (pod: number) => AdminClient;
  /** Makes the vendor's account, and the operator, enabled over the first pod. */
  readonly enable: (plan: LinkPlan) => Promise<void>;
  /** As the vendor sees it. */
  readonly account: (id: string) => AccountState;
}

export function startSmppStage(cluster: Cluster): Promise<SmppStage> {
  return opened(async (closing) => {
    const smsc = await startSmsc({ ports: [0, 0], accounts: [] });
    closing.push("simulator", () => smsc.close());
    const [usual = 0, other = 0] = smsc.ports;
    await smsc.setPort("silent", other);
    const connectors: ServerProcess[] = [];
    for (const [index, pod] of cluster.pods.entries()) {
      const connector = await startConnector(`connector-${index}`, pod, cluster.folder);
      closing.push(connector.name, () => connector.stop());
      connectors.push(connector);
    }
    const password = randomBytes(6).toString("base64url");
    const admin = (index: number): AdminClient => {
      const pod = cluster.pods[index];
      if (pod === undefined) throw new Error(`a cluster without pod ${index}`);
      return adminOf(pod, cluster, 20_000);
    };
    return {
      ...{ smsc, connectors, password, admin },
      ports: { usual, other },
      enable: async (plan) => {
        smsc.setAccount(plan.id, { password, maxBinds: 2, ...plan.account });
        await enable(admin(0), plan, usual, plan.mistyped === true ? `${password}x` : password);
      },
      account: (id) => {
        const account = smsc.state().accounts.find(({ systemId }) => systemId === id);
        if (account === undefined) throw new Error(`the vendor has no account ${id}`);
        return account;
      },
    };
  });
}

/** With test messages, of which a link sends as many as its rate says. */
function startConnector(name: string, pod: Pod, folder: string): Promise<ServerProcess> {
  const logFile = join(folder, `${name}.log`);
  const options = ["--traffic", `--report-interval=${REPORT_INTERVAL_S}`, `--label=connector=${name}`];
  return startServer({
    ...{ name, logFile },
    command: process.execPath,
    args: ["--conditions=source", CONNECTOR, ...options],
    env: { OPS_URL: pod.service.url, OPS_NODE: name },
    answers: () => readFileSync(logFile, "utf8").includes("starting"),
  });
}

async function enable(admin: AdminClient, plan: LinkPlan, port: number, password: string): Promise<void> {
  const { id: operatorId, id: systemId } = plan;
  const operator = operatorOf(plan, port);
  const credential = { operatorId, connectionId: "main", systemId, password };
  const target = AdminState.ENABLED;
  await untilAnswered((requestId) => admin.createOperator({ operatorId, operator, requestId }));
  await untilAnswered((requestId) => admin.setConnectionCredential({ ...credential, requestId }));
  for (const connectionId of ["main", ""]) {
    await untilAnswered((requestId) => admin.changeAdminState({ operatorId, connectionId, target, requestId }));
  }
}

const second = { seconds: 1n };

/** Impatient, so that a vendor's troubles show within seconds; patient with nodes, which share a busy machine. */
function operatorOf(plan: LinkPlan, port: number): Init<MessageInitShape<typeof OperatorSchema>> {
  return {
    displayName: plan.id,
    healthPolicy: { goodStreak: 2, reportIntervalsUntilUnknown: 8, ...plan.healthPolicy },
    connections: {
      main: {
        systemId: plan.id,
        endpoints: { vendor: { host: "127.0.0.1", port } },
        throughput: { maxSegmentsPerSecond: 1 },
        reconnect: { initial: second, max: second, jitterPercent: 0 },
        nodeSelector: { connector: `connector-${plan.connector}` },
        coverage: [{ kind: { case: "mccmnc", value: "26201" } }],
        ...plan.connection,
      },
    },
  };
}
