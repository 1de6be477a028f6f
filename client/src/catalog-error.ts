/**
 * - `NOT_READY`: the first configuration didn't arrive in time, or can't arrive; `cause` has the last error.
 * - `TIMEOUT`: the position wasn't reached in time.
 * - `TOKEN_INVALID`: that text is no token. `TOKEN_FOREIGN`: it is one of another installation.
 * - `CLOSED`: the catalog was closed.
 * - `SILENT`: the server said nothing for three bookmark intervals. `STREAM_ENDED`: the server ended the watch without a reason.
 * - `SNAPSHOT_OLD`: the server offered a state older than the one at hand. `PROTOCOL`: it broke the watch's rules.
 * - `SNAPSHOT_REFUSED`: the stored state is damaged, or of another catalog or version; the message says which.
 * - `LISTENER`: a listener threw; `cause` has what.
 */
export type CatalogErrorReason =
  | "NOT_READY"
  | "TIMEOUT"
  | "TOKEN_INVALID"
  | "TOKEN_FOREIGN"
  | "CLOSED"
  | "SILENT"
  | "STREAM_ENDED"
  | "SNAPSHOT_OLD"
  | "PROTOCOL"
  | "SNAPSHOT_REFUSED"
  | "LISTENER";

/** What went wrong in this process; what the server refused is a ConnectError. */
export class CatalogError extends Error {
  override readonly name = "CatalogError";
  /** Why, for programs. */
  readonly reason: CatalogErrorReason;

  constructor(reason: CatalogErrorReason, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}
