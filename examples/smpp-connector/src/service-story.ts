import { decodeToken, type Logger, type OperatorCatalog } from "@operator-management/client";

type Tell = (text: string) => void;

/** How often a lost service is looked for, in milliseconds. */
const LOOK_INTERVAL = 200;

/** The SDK's log as lines of the story. It reports each failed try; only the first of a row is news. */
export function storyLogger(tell: Tell): Logger & { heardAgain(): void } {
  let last: string | undefined;
  const line = (fields: object, text: string): void => {
    const cause = "err" in fields && fields.err instanceof Error ? ` (${fields.err.message})` : "";
    if (text !== last) tell(`${text}${cause}`);
    last = text;
  };
  return { info: line, warn: line, error: line, heardAgain: () => (last = undefined) };
}

/** Tells when the service is lost and when it is heard again. Returns what stops it. */
export function followService(catalog: OperatorCatalog, tell: Tell, heardAgain: () => void): () => void {
  let before = catalog.status;
  const look = (): void => {
    const { status } = catalog;
    if (before.source === "none" && status.source === "live") {
      tell(`configuration of revision ${revisionOf(status.token)} received`);
    } else if (before.connected && !status.connected) {
      tell("lost: binds stay as they are");
    } else if (!before.connected && status.connected && status.source === "live") {
      tell(`heard again, at revision ${revisionOf(status.token)}`);
    }
    if (status.connected) heardAgain();
    before = status;
  };
  const timer = setInterval(look, LOOK_INTERVAL);
  timer.unref();
  const undo = [
    catalog.on("ready", look),
    catalog.on("resync", ({ reason }) => tell(`the configuration was fetched anew (${reason})`)),
  ];
  return () => {
    clearInterval(timer);
    undo.forEach((each) => each());
  };
}

export function revisionOf(token: string): string {
  return String(decodeToken(token)?.revision ?? "unknown");
}
