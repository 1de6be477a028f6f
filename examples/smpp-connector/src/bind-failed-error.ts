/** No session came about. The message is for people and holds no secret. */
export class BindFailedError extends Error {
  override readonly name = "BindFailedError";
  /** command_status of the vendor's answer; undefined when there was none (no connection, a time-out). */
  readonly status: number | undefined;

  constructor(message: string, status?: number) {
    super(message);
    this.status = status;
  }
}
