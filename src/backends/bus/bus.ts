/**
 * Ordered, kept streams of messages. Two kinds pass the same contract tests: JetStream, and one inside this process. Both are
 * at-least-once; whatever is published or consumed must bear repetition.
 */
export interface Bus {
  /** Whether the last that was heard of the bus is good; a call may fail all the same. */
  readonly connected: boolean;
  /** Whether what it has taken outlives this process. */
  readonly durable: boolean;
  /**
   * Appends a message to the stream that takes the subject; resolves with its sequence once a quorum holds it. If it rejects
   * with BusUnavailableError the message may be there or not.
   * @throws WrongLastSequenceError when the stream's, or the subject's, last message is another than expected
   * @throws BusUnavailableError
   */
  publish(subject: string, data: Uint8Array, options: PublishOptions): Promise<number>;
  /** The stream's last message; undefined when it is empty. @throws BusUnavailableError */
  lastMessage(stream: StreamName, signal: AbortSignal): Promise<BusMessage | undefined>;
  /**
   * The highest sequence that the stream has given out, whether or not that message is still there; 0 when it is new. A stream that
   * was emptied goes on counting, so this is what `expectedLastSequence` is compared with. @throws BusUnavailableError
   */
  lastSequence(stream: StreamName, signal: AbortSignal): Promise<number>;
  /** The last message of every subject of the stream, oldest first, as of now. @throws BusUnavailableError */
  lastPerSubject(stream: StreamName, take: (message: BusMessage) => void, signal: AbortSignal): Promise<void>;
  /**
   * Handles a stream's messages as one of the processes that share the durable consumer, one at a time and in order; goes on by itself after
   * failures of the bus. A message is done when `handle` resolves; when it rejects it comes again after a pause, without limit. One that nobody
   * can use becomes a dead letter: `handle` rejects with PoisonMessageError, or it has killed its processes time and again.
   */
  consume(consumer: ConsumerSpec, handle: (message: BusMessage, signal: AbortSignal) => Promise<void>): Consumption;
  /**
   * Follows a stream, each process by itself, and nothing is acknowledged: the last message of every subject first, oldest first, then every message
   * as it comes, in order. Goes on by itself after failures of the bus, beginning anew with the last of every subject where it may have missed
   * some: a message may come again, but none that is still the last of its subject is missed. Of a subject, none comes after a
   * newer one, so the last that came is what counts; sequences don't tell, as a stream that is made anew counts from 1.
   * @param take must not throw; what it throws is logged, and the message is passed over
   */
  follow(stream: StreamName, take: (message: BusMessage) => void): Following;
  /** Ends what is under way; the bus is not used afterwards. */
  close(): Promise<void>;
}

export interface PublishOptions {
  readonly headers?: Readonly<Record<string, string>>;
  /** Refuse unless this is what `lastSequence` says; 0: the stream never had a message. */
  readonly expectedLastSequence?: number;
  /** Refuse unless the subject's last message has this sequence; 0: the subject has no message. */
  readonly expectedLastSubjectSequence?: number;
  /** A second message with the same id within two minutes is dropped. */
  readonly messageId?: string;
  readonly signal: AbortSignal;
}

/** A message as the stream holds it. */
export interface BusMessage {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
  readonly sequence: number;
  /** When the stream took it. */
  readonly time: Date;
}

export interface ConsumerSpec {
  readonly stream: StreamName;
  /** The durable consumer's name, shared by all processes. */
  readonly durable: string;
  /** Where a durable that is new begins: with all that the stream holds, or with what comes from now on; by default with all. */
  readonly begin?: "all" | "new";
}

/** A running consumption. */
export interface Consumption {
  /** Stops taking messages; resolves when the one in hand is done. */
  close(): Promise<void>;
}

/** A stream that is being followed. */
export interface Following {
  /** Resolves once the last message of every subject as of the start was taken; rejects only when that is closed before. */
  readonly caughtUp: Promise<void>;
  /** Stops: nothing is taken after the call. */
  close(): Promise<void>;
}

/** The streams of this release; `streams.ts` says how each keeps its messages. */
export type StreamName = "OPS_CONFIG" | "OPS_AUDIT" | "OPS_HEALTH" | "OPS_STATE" | "OPS_DLQ" | "OPS_ATTEMPTS";

/** The bus doesn't answer, or not in time; trying again may help. */
export class BusUnavailableError extends Error {
  override readonly name = "BusUnavailableError";
  constructor(action: string, options?: ErrorOptions) {
    super(`the bus can't ${action}`, options);
  }
}

/** Somebody else has appended to the stream, or to the subject. */
export class WrongLastSequenceError extends Error {
  override readonly name = "WrongLastSequenceError";
  constructor(subject: string, expected: number) {
    super(`${subject}: the last sequence is not ${expected}`);
  }
}

/**
 * What a consumer's handler rejects with for a message that nobody can ever use: it is kept in OPS_DLQ and done. Never for a failure that may pass.
 * The message says what is wrong, without any secret.
 */
export class PoisonMessageError extends Error {
  override readonly name = "PoisonMessageError";
}
