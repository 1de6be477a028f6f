import { durationMs } from "@bufbuild/protobuf/wkt";
import { createContextValues, type CallOptions } from "@connectrpc/connect";
import type { BindStatus } from "@operator-management/contract/ops/v1/health_pb.js";
import { background } from "./background.ts";
import { singleAttempt } from "./call-policy.ts";
import type { ConnectionRef } from "./catalog-state.ts";
import type { MeshClient } from "./clients.ts";
import type { Logger } from "./logger.ts";
import { later } from "./timers.ts";

const LONGEST_ERROR = 500;
/** What a report may hold, by the contract; a node with more names the first ones. */
const MOST_REJECTED = 1_000;
const MOST_CONNECTIONS = 5_000;

/** Which node reports, and how. */
export interface NodeReporterOptions {
  readonly client: MeshClient;
  readonly node: {
    /** Stable over restarts, e.g. the pod's name: `^[a-z][a-z0-9-]{0,62}$`. */
    readonly name: string;
    /** Higher after each start. Default: milliseconds since 1970. */
    readonly epoch?: bigint;
    /** For `node_selector`, e.g. `{egress: "ams-1"}`. */
    readonly labels?: Readonly<Record<string, string>>;
    /** How many binds it is willing to hold. Default: 0, no limit of its own. */
    readonly maxBinds?: number;
  };
  /** Time between two reports, in milliseconds; the service may ask for a shorter one. Default: 5,000. */
  readonly intervalMs?: number;
  readonly logger?: Logger;
}

/**
 * Tells the service what this node runs. Reports hold the whole current state, so that only the newest is ever sent; a report that fails is
 * followed by the next one. Nothing here throws or keeps the process alive.
 */
export class NodeReporter implements AsyncDisposable {
  readonly #options: NodeReporterOptions;
  readonly #epoch: bigint;
  readonly #rejected = new Map<string, ConnectionRef & { readonly token: string; readonly error: string }>();
  readonly #binds = new Map<
    string,
    ConnectionRef & { readonly operatorUid: string; readonly binds: readonly BindStatus[] }
  >();
  #appliedToken = "";
  #accepting = true;
  #again = false;
  #sending: Promise<void> | undefined;
  #closing: Promise<void> | undefined;
  #lastError: Error | undefined;
  #serverToken = "";
  #cancel = (): void => {};

  private constructor(options: NodeReporterOptions) {
    this.#options = options;
    this.#epoch = options.node.epoch ?? BigInt(Date.now());
  }

  /** Sends the first report and goes on. */
  static start(options: NodeReporterOptions): NodeReporter {
    const reporter = new NodeReporter(options);
    reporter.reportNow();
    return reporter;
  }

  /** What came of the last report: the error of a failed one, else absent; and the service's position in its last answer. */
  get status(): { readonly lastError?: Error; readonly serverToken: string } {
    const serverToken = this.#serverToken;
    return this.#lastError === undefined ? { serverToken } : { lastError: this.#lastError, serverToken };
  }

  /** The node has applied everything up to this position. */
  applied(token: string): void {
    this.#appliedToken = token;
  }

  /** The node can't apply this connection's configuration of that position: its NACK. `error` is for people, without any secret. */
  rejected(ref: ConnectionRef, token: string, error: string): void {
    const { operatorId, connectionId } = ref;
    this.#rejected.set(keyOf(ref), {
      operatorId,
      connectionId,
      token,
      error: plainText(error),
    });
  }

  /** The NACK no longer holds: the connection's configuration is applied, or the connection is gone. */
  recovered(ref: ConnectionRef): void {
    this.#rejected.delete(keyOf(ref));
  }

  /** The binds of one connection; none: it isn't run here any more. */
  binds(ref: ConnectionRef & { readonly operatorUid: string }, binds: readonly BindStatus[]): void {
    const { operatorId, operatorUid, connectionId } = ref;
    if (binds.length === 0) this.#binds.delete(keyOf(ref));
    else this.#binds.set(keyOf(ref), { operatorId, operatorUid, connectionId, binds: [...binds] });
  }

  /** Whether the node takes new binds; false while it drains. True at first. */
  accepting(accepting: boolean): void {
    this.#accepting = accepting;
  }

  /** Sends the current state at once, or right after the report that is under way. */
  reportNow(): void {
    if (this.#closing !== undefined) return;
    this.#cancel();
    if (this.#sending !== undefined) {
      this.#again = true;
      return;
    }
    this.#again = false;
    const values = createContextValues().set(background, true);
    this.#sending = this.#send(false, { contextValues: values, timeoutMs: this.#intervalMs }).then((nextMs) => {
      this.#sending = undefined;
      if (this.#closing !== undefined) return;
      if (this.#again) this.reportNow();
      else this.#cancel = later(nextMs, () => this.reportNow());
    });
  }

  /** Sends a last report with `leaving`, for at most 2 s. May be called again. */
  close(): Promise<void> {
    this.#closing ??= this.#leave();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  get #intervalMs(): number {
    return this.#options.intervalMs ?? 5_000;
  }

  async #leave(): Promise<void> {
    this.#cancel();
    // Reports may overtake each other on the way: the last one must not be followed by one that says that the node is there.
    await this.#sending;
    await this.#send(true, { timeoutMs: 2_000 });
  }

  /** Resolves to when the next report is due, in milliseconds. */
  async #send(leaving: boolean, options: CallOptions): Promise<number> {
    const { client, node, logger } = this.#options;
    const contextValues = (options.contextValues ?? createContextValues()).set(singleAttempt, true);
    try {
      const request = {
        node: node.name,
        epoch: this.#epoch,
        labels: { ...node.labels },
        maxBinds: node.maxBinds ?? 0,
        accepting: this.#accepting && !leaving,
        appliedToken: this.#appliedToken,
        rejected: [...this.#rejected.values()].slice(0, MOST_REJECTED),
        connections: [...this.#binds.values()]
          .slice(0, MOST_CONNECTIONS)
          .map((each) => ({ ...each, binds: [...each.binds] })),
        leaving,
      };
      const { token, reportInterval } = await client.reportNodeStatus(request, { ...options, contextValues });
      this.#lastError = undefined;
      this.#serverToken = token;
      const asked = reportInterval === undefined ? 0 : durationMs(reportInterval);
      return asked > 0 ? Math.min(asked, this.#intervalMs) : this.#intervalMs;
    } catch (error) {
      if (this.#lastError === undefined) logger?.warn({ err: error }, "the node's report failed; the next one follows");
      this.#lastError = error instanceof Error ? error : new Error("the node's report failed", { cause: error });
      return this.#intervalMs;
    }
  }
}

function keyOf({ operatorId, connectionId }: ConnectionRef): string {
  return `${operatorId}/${connectionId}`;
}

/** An error's text as a report may hold it: a NUL from a vendor's C string would make the service refuse every report of this node. */
function plainText(text: string): string {
  // eslint-disable-next-line no-control-regex -- control characters are what this is about
  const plain = text.toWellFormed().replace(/[\u0000-\u001f\u007f]+/g, " ");
  return [...plain].slice(0, LONGEST_ERROR).join("");
}
