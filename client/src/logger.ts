/** Where the SDK reports what nobody waits for. A pino logger is one; nothing secret is ever passed to it. */
export interface Logger {
  /** Normal but worth knowing: a reconnect. */
  info(fields: object, text: string): void;
  /** Something failed and is being retried. */
  warn(fields: object, text: string): void;
  /** A human must act: access denied, a filter that is wrong, a listener that throws. */
  error(fields: object, text: string): void;
}
