import { diffMessages } from "@operator-management/client";
import { ConnectionSchema, type Connection } from "@operator-management/contract/ops/v1/connection_pb.js";
import { CredentialState } from "@operator-management/contract/ops/v1/credential_pb.js";
import type { Desired, DesiredConnection, Slot } from "./desired.ts";
import type { CredentialTurn } from "./rotation.ts";

/** A bind as it is: being opened, open, or on its way out. */
export interface ActualBind {
  readonly connectionKey: string;
  readonly operatorUid: string;
  readonly slot: Slot;
  /** The configuration it was given last. */
  readonly config: Connection;
  readonly phase: "trying" | "bound" | "closing";
  /** A re-bind took its session down, and it has not bound again since. */
  readonly rolling: boolean;
  /** What its live session was bound with; undefined: it has none. */
  readonly credentialId: string | undefined;
}

/** What to do to one bind. `why` of a close is undefined when nothing of the connection is wanted any more. */
export type Action<Bind extends ActualBind = ActualBind> =
  | { readonly kind: "open"; readonly connection: DesiredConnection; readonly slot: Slot }
  | { readonly kind: "close"; readonly bind: Bind; readonly why: string | undefined }
  /** Give it the configuration; its session, if any, must be made anew. */
  | { readonly kind: "rebind"; readonly bind: Bind; readonly connection: DesiredConnection; readonly fields: string[] }
  /** Give it the configuration; its session stays. */
  | { readonly kind: "apply"; readonly bind: Bind; readonly connection: DesiredConnection; readonly fields: string[] };

/**
 * What leads from the binds that are to those that should be. Pure, and called again after every change of either, so it
 * says only what can be done now:
 * - Bound sessions of a connection are re-bound one at a time: the next one's turn comes when the last one is bound again, so a
 *   mistaken host costs one bind. A bind that isn't up waits for nobody.
 * - A connection opens binds only when none of it is closing: the vendor counts those too.
 * - A connection whose new configuration was rejected keeps what it has.
 * - A rotation has live sessions re-bound likewise, one at a time, as far as `turnOf` says so.
 */
export function reconcile<Bind extends ActualBind>(
  desired: Desired,
  actual: Iterable<Bind>,
  turnOf: (connection: DesiredConnection) => CredentialTurn | undefined = () => undefined,
): Action<Bind>[] {
  const byConnection = new Map<string, Bind[]>();
  for (const bind of actual) {
    const binds = byConnection.get(bind.connectionKey) ?? [];
    binds.push(bind);
    byConnection.set(bind.connectionKey, binds);
  }
  const keys = new Set([...byConnection.keys(), ...desired.connections.keys()]);
  return [...keys]
    .filter((key) => !desired.rejected.has(key))
    .flatMap((key) => {
      const connection = desired.connections.get(key);
      const turn = connection && turnOf(connection);
      return reconcileConnection(connection, byConnection.get(key) ?? [], turn);
    });
}

function reconcileConnection<Bind extends ActualBind>(
  connection: DesiredConnection | undefined,
  binds: readonly Bind[],
  turn: CredentialTurn | undefined,
): Action<Bind>[] {
  const open = binds.filter(({ phase }) => phase !== "closing");
  const isWanted = (bind: Bind): boolean =>
    bind.operatorUid === connection?.operatorUid && connection.slots.some((slot) => isSame(slot, bind.slot));
  const surplus = open.filter((bind) => !isWanted(bind));
  const closing = surplus.map((bind) => ({ kind: "close" as const, bind, why: whyClosed(connection, bind) }));
  if (connection === undefined) return closing;

  const missing = connection.slots.filter((slot) => !binds.some((bind) => isSame(slot, bind.slot)));
  const mayOpen = surplus.length === 0 && open.length === binds.length;
  const opening = mayOpen ? missing.map((slot) => ({ kind: "open" as const, connection, slot })) : [];
  return [...closing, ...changing(connection, open.filter(isWanted), turn), ...opening];
}

function changing<Bind extends ActualBind>(
  connection: DesiredConnection,
  binds: readonly Bind[],
  turn: CredentialTurn | undefined,
): Action<Bind>[] {
  const actions: Action<Bind>[] = [];
  let rollBusy = binds.some((bind) => bind.rolling);
  for (const bind of binds) {
    if (bind.config === connection.connection) continue;
    const change = compare(bind.config, connection.connection);
    const fields = change.rebind;
    if (bind.phase === "trying" && (fields.length > 0 || change.newCredential)) {
      actions.push({ kind: "rebind", bind, connection, fields: fields.length > 0 ? fields : ["credential"] });
    } else if (bind.phase === "trying" || fields.length === 0) {
      actions.push({ kind: "apply", bind, connection, fields: change.live });
    } else if (!rollBusy) {
      rollBusy = true;
      actions.push({ kind: "rebind", bind, connection, fields });
    }
  }
  const next = turn && !rollBusy ? binds.find((bind) => isDue(bind, binds, turn)) : undefined;
  if (next === undefined) return actions;
  // It may have been given another configuration above; the re-bind brings it too.
  const others = actions.filter((action) => action.kind === "open" || action.bind !== next);
  return [...others, { kind: "rebind", bind: next, connection, fields: ["credential"] }];
}

/** Whether this live session is to be made anew with the credential whose turn it is. */
function isDue<Bind extends ActualBind>(bind: Bind, binds: readonly Bind[], turn: CredentialTurn): boolean {
  if (bind.phase !== "bound" || bind.credentialId === turn.credentialId) return false;
  return turn.which === "ALL" || binds.every(({ credentialId }) => credentialId !== turn.credentialId);
}

/** Which changes need a new session says the contract: `(ops.v1.rebind)`. */
function compare(before: Connection, after: Connection): { rebind: string[]; live: string[]; newCredential: boolean } {
  const changes = diffMessages(ConnectionSchema, before, after, { values: false });
  return {
    rebind: changes.filter(({ rebind }) => rebind).map(({ path }) => path),
    live: changes.filter(({ rebind }) => !rebind).map(({ path }) => path),
    // A live session stays bound with the credential it has: vendors ask for the password only in the bind.
    newCredential: usable(after).some((id) => !usable(before).includes(id)),
  };
}

function usable({ credential }: Connection): string[] {
  const versions = [credential?.active, credential?.pending];
  return versions.flatMap((version) => (version && version.state !== CredentialState.REJECTED ? [version.id] : []));
}

function whyClosed(connection: DesiredConnection | undefined, bind: ActualBind): string | undefined {
  if (connection === undefined) return undefined;
  return bind.operatorUid === connection.operatorUid ? "fewer binds wanted" : "the operator was created anew";
}

function isSame(a: Slot, b: Slot): boolean {
  return a.role === b.role && a.index === b.index;
}
