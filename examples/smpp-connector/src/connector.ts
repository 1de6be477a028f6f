import { candidates, type HealthReporter, type NodeReporter, type OperatorCatalog } from "@operator-management/client";
import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import { MessageState } from "@operator-management/contract/ops/v1/receipts_pb.js";
import { Bind, bindName } from "./bind.ts";
import { liveChangeWords, rebindWords } from "./change-words.ts";
import { desiredState, type Desired, type DesiredConnection, type Slot } from "./desired.ts";
import { Link } from "./link.ts";
import type { CredentialSource } from "./logins.ts";
import { readReceipt } from "./receipt.ts";
import { reconcile, type Action } from "./reconcile.ts";
import { credentialTurn, type CredentialTurn } from "./rotation.ts";
import type { Pdu } from "./smpp.ts";

export interface ConnectorDeps {
  readonly catalog: Pick<OperatorCatalog, "connections" | "connection" | "status" | "on">;
  readonly credentials: CredentialSource;
  readonly reporter: Pick<NodeReporter, "applied" | "rejected" | "recovered" | "binds" | "reportNow">;
  /** Is told how the connections are. */
  readonly health: Pick<HealthReporter, "link" | "applied">;
  /** The node's labels, for `node_selector`. */
  readonly labels: Readonly<Record<string, string>>;
  /** Takes a line of the story: about whom, and what. */
  readonly tell: (who: string, text: string) => void;
  readonly random?: () => number;
}

/** How often the position is looked at that bookmarks move without a change, in milliseconds. */
const POSITION_INTERVAL = 1_000;

/** Keeps the binds of this node as the catalog says. What it holds stays when the service is gone: it only acts on changes. */
export class Connector {
  readonly #deps: ConnectorDeps;
  readonly #links = new Map<string, Link>();
  #rejected: Desired["rejected"] = new Map();
  readonly #stopListening: () => void;
  readonly #position: NodeJS.Timeout;
  #scheduled = false;
  #closing: Promise<void> | undefined;

  constructor(deps: ConnectorDeps) {
    this.#deps = deps;
    const changed = (): void => this.#schedule();
    const undo = [deps.catalog.on("ready", changed), deps.catalog.on("change", changed)];
    this.#stopListening = () => undo.forEach((each) => each());
    this.#position = setInterval(() => this.#settle(), POSITION_INTERVAL);
    this.#position.unref();
    this.#schedule();
  }

  /** The connections that this node runs. */
  get links(): Iterable<Link> {
    return this.#links.values();
  }

  /** Unbinds everything and resolves when it is done. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#stopListening();
    clearInterval(this.#position);
    await Promise.all(this.#binds().map((bind) => bind.close("this connector stops")));
    this.#report();
  }

  /** Many changes of one moment lead to one look at the whole. */
  #schedule(): void {
    if (this.#scheduled || this.#closing !== undefined) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      if (this.#closing !== undefined) return;
      this.#settle();
      this.#deps.reporter.reportNow();
    });
  }

  #settle(): void {
    const { catalog, labels, reporter, health } = this.#deps;
    const { source, token } = catalog.status;
    if (source === "none") return;
    const desired = desiredState(catalog.connections(), labels);
    this.#applyToLinks(desired);
    const turnOf = ({ key, connection }: DesiredConnection): CredentialTurn | undefined =>
      credentialTurn(connection, new Date(), (id) => this.#links.get(key)?.logins.isReady(id) ?? false);
    for (const action of reconcile(desired, this.#binds(), turnOf)) this.#execute(action);
    this.#wakeForRotations();
    this.#reject(desired, token);
    if (isApplied(desired, this.#binds())) {
      reporter.applied(token);
      health.applied(token);
    }
    this.#report();
  }

  /** Rate, window and state apply to a connection as a whole, whatever its binds are doing. */
  #applyToLinks(desired: Desired): void {
    for (const connection of desired.connections.values()) {
      const link = this.#links.get(connection.key);
      const isOver = link?.operatorUid !== connection.operatorUid && link?.binds.size === 0;
      if (link === undefined || isOver) {
        const { credentials, health } = this.#deps;
        this.#links.set(connection.key, new Link(connection, credentials, health.link(connection)));
      } else if (link.operatorUid === connection.operatorUid && link.config !== connection.connection) {
        for (const line of liveChangeWords(link.config, connection.connection)) this.#deps.tell(link.key, line);
        link.apply(connection);
      }
    }
  }

  #execute(action: Action<Bind>): void {
    switch (action.kind) {
      case "open":
        return this.#open(action.connection, action.slot);
      case "apply":
        return action.bind.apply(action.connection.connection);
      case "rebind": {
        const { bind, connection, fields } = action;
        const others = connection.slots.length > 1 && bind.phase === "bound" ? ", one bind at a time" : "";
        this.#deps.tell(bind.name, `${rebindWords(fields)}: re-binding${others}`);
        return bind.rebind(connection.connection, "re-binding");
      }
      case "close":
        return this.#closeBind(action.bind, action.why);
      default:
        return action satisfies never;
    }
  }

  #open(connection: DesiredConnection, slot: Slot): void {
    const link = this.#links.get(connection.key);
    // A link of a deleted operator whose last bind is closing; it is this one's turn when that is over.
    if (link?.operatorUid !== connection.operatorUid) return;
    const name = bindName(connection.key, slot);
    const { random = Math.random, tell } = this.#deps;
    link.binds.add(
      new Bind(connection, slot, {
        logins: link.logins,
        tell: (text) => tell(name, text),
        changed: () => this.#schedule(),
        lost: () => link.monitor.bindLost(),
        deliver: (pdu) => this.#receive(link, pdu),
        random,
      }),
    );
  }

  #closeBind(bind: Bind, why: string | undefined): void {
    const link = this.#links.get(bind.connectionKey);
    void bind.close(why ?? this.#whyUnwanted(bind.connectionKey)).then(() => {
      link?.binds.delete(bind);
      this.#schedule();
    });
  }

  #reject({ rejected }: Desired, token: string): void {
    const { reporter, tell } = this.#deps;
    for (const [key, rejection] of rejected) {
      if (this.#rejected.get(key)?.error !== rejection.error) tell(key, `configuration refused: ${rejection.error}`);
      reporter.rejected(rejection, token, rejection.error);
    }
    for (const [key, rejection] of this.#rejected) if (!rejected.has(key)) reporter.recovered(rejection);
    this.#rejected = rejected;
  }

  #report(): void {
    for (const [key, link] of this.#links) {
      const binds = [...link.binds].map((bind) => bind.status);
      this.#deps.reporter.binds(link, binds);
      link.monitor.binds(binds);
      if (binds.length > 0) continue;
      link.monitor.close();
      this.#links.delete(key);
    }
  }

  /** A rotation's window began or ended by the clock: binds that wait may have a credential to try by now. */
  #wakeForRotations(): void {
    for (const link of this.#links.values()) {
      const { until } = candidates(link.config.credential, new Date());
      const isOver = link.rotationUntil !== undefined && link.rotationUntil.getTime() <= Date.now();
      link.rotationUntil = until;
      if (!isOver) continue;
      for (const bind of link.binds) if (bind.phase === "trying") bind.rebind(bind.config, "another credential's turn");
    }
  }

  /** A receipt may be of this connection or, on a receiver account, of others of the operator. */
  #receive(link: Link, pdu: Pdu): void {
    const receipt = readReceipt(pdu, link.config.receipts);
    if (receipt === undefined || receipt.state === MessageState.ENROUTE) return;
    const others = link.config.receivesFor.flatMap((id) => this.#links.get(`${link.operatorId}/${id}`) ?? []);
    const counted = (of: Link) => (sentAt: number) => {
      of.outbox.outcome.receipts += 1;
      of.monitor.receipt(sentAt, receipt.state);
    };
    const known = [link, ...others].some((each) => each.book.take(receipt.id, counted(each)));
    if (!known) for (const each of others.length > 0 ? others : [link]) each.book.keep(receipt.id, counted(each));
  }

  #whyUnwanted(key: string): string {
    const { connection } = this.#deps.catalog.connection(key) ?? {};
    return connection === undefined ? "the connection is gone" : `now ${AdminState[connection.effectiveState]}`;
  }

  #binds(): Bind[] {
    return [...this.#links.values()].flatMap(({ binds }) => [...binds]);
  }
}

/** Every bind has the newest configuration, none is to come or to go. Whether the vendor lets them in is another matter. */
function isApplied({ connections, rejected }: Desired, binds: readonly Bind[]): boolean {
  const relevant = binds.filter(({ connectionKey }) => !rejected.has(connectionKey));
  const wanted = [...connections.values()].reduce((sum, { slots }) => sum + slots.length, 0);
  return (
    relevant.length === wanted &&
    relevant.every(
      (bind) => bind.phase !== "closing" && bind.config === connections.get(bind.connectionKey)?.connection,
    )
  );
}
