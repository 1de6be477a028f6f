import { create } from "@bufbuild/protobuf";
import { bindErrorClass } from "@operator-management/client";
import { Actor_Kind, ActorSchema, ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { BindState, type BindStatus } from "@operator-management/contract/ops/v1/health_pb.js";
import { PromoteConnectionCredentialRequestSchema } from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import { BindErrorClass } from "@operator-management/contract/ops/v1/smpp_error_pb.js";
import type { Logger } from "pino";
import type { Catalog } from "../catalog/catalog.ts";
import type { CatalogEntry } from "../catalog/entry.ts";
import type { Revision } from "../catalog/revision.ts";
import type { History } from "../history/commit.ts";
import type { Caller } from "../rpc/caller.ts";
import { reasonOf } from "../rpc/errors.ts";
import { promoteCredential, rejectCredential, verdictDue } from "./end-rotation.ts";
import { requirePending } from "./pending-credential.ts";

const TICK_MS = 1_000;
/** A refusal that nobody has repeated for so long no longer tells how it is: nodes report every 5 s, health every 2 min at most. */
const HEARD_MS = 150_000;
/** After a failure: what is still true is reported again. */
const REST_MS = 5_000;

/** Which connection, of which of the operators that had this id. */
export interface ObservedConnection {
  readonly operatorId: string;
  readonly operatorUid: string;
  readonly connectionId: string;
}

/** What a node found out about a credential. */
export interface BindEvidence extends ObservedConnection {
  readonly credentialId: string;
  readonly outcome: "bound" | "rejected";
  /** Who says so, for the history. */
  readonly node?: string;
}

/** What the driver needs. */
export interface RotationDriverDeps {
  readonly catalog: Pick<Catalog, "loaded" | "snapshot" | "get" | "subscribe">;
  readonly history: Pick<History, "change">;
  readonly logger: Pick<Logger, "info" | "warn">;
  readonly now: () => Date;
  readonly tickMs?: number;
}

/** The service itself. */
const system: Caller = {
  actor: create(ActorSchema, { principal: "credential-rotation", kind: Actor_Kind.SYSTEM }),
  roles: new Set(),
  namespaces: new Set(),
};

/** Somebody else has ended the rotation, or the connection is gone. */
const settled: readonly (ErrorReason | undefined)[] = [
  ErrorReason.NO_ROTATION,
  ErrorReason.OPERATOR_NOT_FOUND,
  ErrorReason.CONNECTION_NOT_FOUND,
];

/**
 * Ends rotations by what nodes report: a bind with the pending version promotes it; a refusal rejects it, once refusals count. It goes by what
 * is said again and again, so that nothing is lost with a report, a pod or the database for a while; what it does is decided under the head
 * lock, so that any number of pods may do it at once.
 */
export class RotationDriver {
  readonly #deps: RotationDriverDeps;
  readonly #stopping = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #unsubscribe: () => void;
  /** The pending versions by id, as the catalog has them. */
  readonly #pending = new Map<string, ObservedConnection>();
  /** Refusals that don't count yet, by credential id; times in milliseconds. */
  readonly #refused = new Map<
    string,
    { readonly evidence: BindEvidence; readonly heard: number; readonly due: number }
  >();
  readonly #todo = new Map<string, BindEvidence>();
  #running: Promise<void> | undefined;
  #restUntil = -Infinity;
  #isFailing = false;

  constructor(deps: RotationDriverDeps) {
    this.#deps = deps;
    this.#unsubscribe = deps.catalog.subscribe((revision) => this.#takeCatalog(revision));
    if (deps.catalog.loaded) this.#takeCatalog(undefined);
    this.#timer = setInterval(() => this.#tick(), deps.tickMs ?? TICK_MS).unref();
  }

  /** Takes the binds of a report, of a node's status or of health. Cheap where no rotation is under way; never throws. */
  observeBinds(of: ObservedConnection, binds: readonly BindStatus[], node: string): void {
    for (const { state, credentialId, lastBindStatus, rejectedCredentialId } of binds) {
      if (state === BindState.BOUND && (lastBindStatus ?? 0) === 0) {
        this.observe({ ...of, credentialId, node, outcome: "bound" });
      } else if (state === BindState.FAILED && this.#isPending(of, credentialId)) {
        const { bindErrors = [] } = this.#deps.catalog.get(of.operatorId)?.operator.connections[of.connectionId] ?? {};
        if (bindErrorClass(lastBindStatus ?? 0, bindErrors) === BindErrorClass.AUTH) {
          this.observe({ ...of, credentialId, node, outcome: "rejected" });
        }
      }
      if (rejectedCredentialId !== "") {
        this.observe({ ...of, credentialId: rejectedCredentialId, node, outcome: "rejected" });
      }
    }
  }

  /** Takes what a node found out. Of a version that isn't pending as far as this pod knows, nothing is done. Never throws. */
  observe(told: BindEvidence): void {
    const { credentialId, outcome } = told;
    if (!this.#isPending(told, credentialId)) return;
    // The uid tells which operator it is; the id is what the node believes.
    const evidence = { ...told, operatorId: this.#pending.get(credentialId)?.operatorId ?? told.operatorId };
    if (outcome === "bound") {
      this.#do(evidence);
      return;
    }
    const due = this.#refused.get(credentialId)?.due ?? this.#verdictDue(evidence);
    const now = this.#deps.now().getTime();
    if (due <= now) this.#do(evidence);
    else this.#refused.set(credentialId, { evidence, heard: now, due });
  }

  /** Lets what is under way end. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#unsubscribe();
    this.#stopping.abort();
    await this.#running;
  }

  #isPending({ operatorUid, connectionId }: ObservedConnection, credentialId: string): boolean {
    const known = this.#pending.get(credentialId);
    return known?.operatorUid === operatorUid && known.connectionId === connectionId;
  }

  #takeCatalog(revision: Revision | undefined): void {
    if (revision === undefined) {
      this.#pending.clear();
      for (const entry of this.#deps.catalog.snapshot()) this.#addPending(entry);
      return;
    }
    for (const { before, after } of revision.changes) {
      for (const { credentialId } of before?.pendingCredentials ?? []) this.#pending.delete(credentialId);
      if (after !== undefined) this.#addPending(after);
    }
  }

  #addPending({ id: operatorId, uid: operatorUid, keys }: CatalogEntry): void {
    for (const { connectionId, credentialId } of keys.pendingCredentials) {
      this.#pending.set(credentialId, { operatorId, operatorUid, connectionId });
    }
  }

  #verdictDue({ operatorId, connectionId, credentialId }: BindEvidence): number {
    const operator = this.#deps.catalog.get(operatorId)?.operator;
    return operator === undefined ? Infinity : verdictDue(requirePending(operator, connectionId, credentialId));
  }

  /** For refusals whose window ends: does nothing else. */
  #tick(): void {
    const now = this.#deps.now().getTime();
    for (const [credentialId, { evidence, heard, due }] of this.#refused) {
      const isOver = !this.#isPending(evidence, credentialId) || now - heard > HEARD_MS;
      if (isOver) this.#refused.delete(credentialId);
      else if (due <= now) this.#do(evidence);
    }
  }

  #do(evidence: BindEvidence): void {
    if (this.#stopping.signal.aborted || this.#deps.now().getTime() < this.#restUntil) return;
    if (this.#todo.get(evidence.credentialId)?.outcome === "bound") return; // whoever is bound knows better
    this.#todo.set(evidence.credentialId, evidence);
    this.#running ??= this.#work().finally(() => (this.#running = undefined));
  }

  async #work(): Promise<void> {
    for (const [credentialId, evidence] of this.#todo) {
      try {
        await this.#end(evidence);
        this.#isFailing = false;
      } catch (error) {
        if (!settled.includes(reasonOf(error))) this.#failed(error);
      }
      this.#todo.delete(credentialId);
    }
  }

  async #end({ operatorId, connectionId, credentialId, outcome, node }: BindEvidence): Promise<void> {
    const { history, logger } = this.#deps;
    const message = create(PromoteConnectionCredentialRequestSchema, { operatorId, connectionId, credentialId });
    const by = node === undefined ? "" : ` of node ${node}`;
    const call = { caller: system, message, requestId: "", validateOnly: false, signal: this.#stopping.signal };
    const about = { operatorId, connectionId, credentialId, node };
    if (outcome === "bound") {
      const reason = `a bind${by} proved it`;
      await promoteCredential(history, message, { ...call, method: "PromoteConnectionCredential", reason });
      logger.info(about, "a bind proved the pending credential: it is the active one now");
    } else {
      const reason = `the vendor refused it to a bind${by}`;
      await rejectCredential(history, message, { ...call, method: "RejectConnectionCredential", reason });
      logger.warn(about, "the vendor refuses the pending credential: the rotation is rejected");
    }
  }

  /** Once per outage. */
  #failed(err: unknown): void {
    if (this.#stopping.signal.aborted) return;
    this.#restUntil = this.#deps.now().getTime() + REST_MS;
    if (!this.#isFailing) this.#deps.logger.warn({ err }, "a rotation can't be ended for now; it is tried again");
    this.#isFailing = true;
  }
}
