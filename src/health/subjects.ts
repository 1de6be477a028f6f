/** Names one link in everything that is computed of it: uids are never used twice, ids of operators are. */
export interface LinkId {
  readonly operatorUid: string;
  readonly connectionId: string;
}

/** Names one node's view of a link. */
export interface Reporter extends LinkId {
  readonly node: string;
}

const REPORT_PREFIX = "ops.health.v1.";
const STATE_PREFIX = "ops.state.v1.";

/** The link as a key of maps, and as the last tokens of its subjects. */
export function linkKey({ operatorUid, connectionId }: LinkId): string {
  return `${operatorUid}.${connectionId}`;
}

/** What `linkKey` made a key of. */
export function linkOfKey(key: string): LinkId {
  const dot = key.indexOf(".");
  return { operatorUid: key.slice(0, dot), connectionId: key.slice(dot + 1) };
}

/** Where a node's reports of a link go. */
export function reportSubject(link: LinkId, node: string): string {
  return `${REPORT_PREFIX}${linkKey(link)}.${node}`;
}

/** Where the link's transitions go. */
export function stateSubject(link: LinkId): string {
  return STATE_PREFIX + linkKey(link);
}

/** Whose report it is; undefined when it can't be a report's subject. */
export function reporterOf(subject: string): Reporter | undefined {
  const [operatorUid, connectionId, node, ...more] = after(REPORT_PREFIX, subject);
  if (!operatorUid || !connectionId || !node || more.length > 0) return undefined;
  return { operatorUid, connectionId, node };
}

/** Which link's transition it is; undefined when it can't be a transition's subject. */
export function linkOf(subject: string): LinkId | undefined {
  const [operatorUid, connectionId, ...more] = after(STATE_PREFIX, subject);
  return !operatorUid || !connectionId || more.length > 0 ? undefined : { operatorUid, connectionId };
}

function after(prefix: string, subject: string): string[] {
  return subject.startsWith(prefix) ? subject.slice(prefix.length).split(".") : [];
}
