import { decodeToken, type Logger, type OperatorCatalog } from "@operator-management/client";

type Tell = (text: string) => void;

/** The SDK's log as lines of the story. It logs every failed try; only the first of a row is news. */
export function storyLogger(tell: Tell): Logger {
  let last: string | undefined;
  const line = (fields: object, text: string): void => {
    if (text === last) return;
    last = text;
    if ("err" in fields && fields.err instanceof Error) return tell(`${text} (${fields.err.message})`);
    // Before the first configuration the token is empty.
    const known = "token" in fields && typeof fields.token === "string" && fields.token !== "";
    tell(known ? `${text}, at revision ${revisionOf(String(fields.token))}` : text);
  };
  return { info: line, warn: line, error: line };
}

/** Tells of the first configuration, and when it had to be fetched anew instead of resumed. Returns what stops it. */
export function followCatalog(catalog: OperatorCatalog, tell: Tell): () => void {
  const { source, token } = catalog.status;
  const received = (at: string): void => tell(`configuration of revision ${revisionOf(at)} received`);
  if (source === "none") tell("not there yet: waiting for it");
  else received(token);
  const undo = [
    catalog.on("ready", (event) => received(event.token)),
    catalog.on("resync", ({ reason }) => tell(`the configuration was fetched anew (${reason})`)),
    catalog.on("stale", () => tell("changes may be missing; binds stay as they are")),
  ];
  return () => undo.forEach((each) => each());
}

function revisionOf(token: string): string {
  return String(decodeToken(token)?.revision ?? "unknown");
}
