import { startCluster, type Cluster, type Pod } from "../test/cluster/cluster.ts";
import { adminWriter } from "./admin-writer.ts";
import { operatorId } from "./sample-operator.ts";
import { sameTransaction, type Statement } from "./same-transaction.ts";
import { seed } from "./seed.ts";

/** How often each measurement and its baseline alternate. */
export const ROUNDS = 3;

/** Operators in both databases, but where more are measured. */
export const OPERATORS = 500;

const BASELINE = "baseline";

/** What all measurements share. */
export interface Scene {
  readonly cluster: Cluster;
  /** One replica of the service. */
  readonly pod: Pod;
  /** Tokens of two admins who may change operators: one caller's rate limit must not be what is measured. */
  readonly editors: readonly string[];
  /** URL of a copy of the service's database that no service uses. */
  readonly baselineDatabase: string;
  readonly transaction: readonly Statement[];
  /** Of the change that a watch gets. */
  readonly changeBytes: number;
  /** Prints a line of progress. */
  readonly say: (line: string) => void;
}

/** The servers of the cluster profile, with nothing between them and the service; the operators; one replica of the service. */
export async function openScene(say: (line: string) => void): Promise<Scene & { close(): Promise<void> }> {
  say("starting PostgreSQL with a standby, three NATS nodes and Vault");
  const cluster = await startCluster({ pods: 0, links: false });
  try {
    const { primary, serviceUrl } = cluster.postgres;
    await seed(serviceUrl, 0, OPERATORS, say);
    await primary.query(`create database ${BASELINE} template ops owner ops_owner`, [], "postgres");
    const pod = await cluster.startPod();
    const editors = [cluster.tokens.editor, cluster.tokens.admin];
    const writer = adminWriter(pod.service.url, cluster.tokens.editor, 0);
    await writer.update();
    writer.close();
    return {
      cluster,
      pod,
      editors,
      baselineDatabase: Object.assign(new URL(serviceUrl), { pathname: `/${BASELINE}` }).href,
      transaction: await sameTransaction(primary),
      changeBytes: await recordBytes(cluster),
      say,
      close: async () => cluster[Symbol.asyncDispose](),
    };
  } catch (error) {
    await cluster[Symbol.asyncDispose]();
    throw error;
  }
}

/** A watch's message is little more than the operator. */
async function recordBytes({ postgres }: Cluster): Promise<number> {
  const text = "select length(record) as bytes from operator where id = $1";
  const [row] = await postgres.primary.query<{ bytes: number }>(text, [operatorId(0)]);
  return row?.bytes ?? 0;
}
