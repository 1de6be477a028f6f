/**
 * A process that holds many watches over bare HTTP/2, so that neither the test nor what it measures pays for them. Started by `startHerd`
 * (support-herd.ts), which talks to it over IPC.
 */
import { once } from "node:events";
import type { IncomingHttpHeaders } from "node:http";
import { connect as connectHttp2, type ClientHttp2Session } from "node:http2";
import { createServer, connect as connectTcp, type AddressInfo } from "node:net";
import { create, toBinary } from "@bufbuild/protobuf";
import { WatchOperatorsRequestSchema } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import type { HerdOrder, HerdReport, WatcherKind } from "./support-herd.ts";
import { WatchFrames } from "./support-watch-frames.ts";

/** Below the 256 that a connection of the service may have. */
const STREAMS_PER_CONNECTION = 200;
const WINDOW_BYTES = 8 * 1_048_576;
const OUT_OF_RANGE = "11";
/** How long a slow reader reads nothing after each message. */
const SLOW_PAUSE_MS = 500;

const report: HerdReport = {
  open: 0,
  messages: 0,
  largestMessage: 0,
  resumes: 0,
  listsAgain: 0,
  slowest: 0,
  problems: [],
};
const watchers: Watcher[] = [];

class Watcher {
  revision = 0;
  readonly kind: WatcherKind;
  readonly #urls: readonly string[];
  #token: string;
  #url = "";
  #streams = 0;

  constructor(kind: WatcherKind, urls: readonly string[], token: string, revision: number) {
    this.kind = kind;
    this.#urls = urls;
    this.#token = token;
    this.revision = revision;
  }

  get follows(): boolean {
    return this.kind === "prompt" || this.kind === "snapshot";
  }

  async open(): Promise<void> {
    this.#url = this.#urls[Math.floor(Math.random() * this.#urls.length)] ?? "";
    const session = await sessionTo(this.#url, this.kind);
    const stream = session.request({
      ":method": "POST",
      ":path": "/ops.v1.OperatorService/WatchOperators",
      "content-type": "application/grpc+proto",
      te: "trailers",
    });
    const frames = new WatchFrames();
    let status = "";
    let isOpen = false;
    stream.on("data", (bytes: Buffer) => {
      if (!isOpen) {
        isOpen = true;
        report.open++;
        if (this.#streams++ > 0) report.resumes++;
      }
      for (const word of frames.push(bytes)) this.#heard(word);
      if (this.kind === "slow") {
        stream.pause();
        setTimeout(() => stream.resume(), SLOW_PAUSE_MS);
      }
    });
    const hearStatus = (headers: IncomingHttpHeaders): void => void (status = String(headers["grpc-status"] ?? ""));
    stream.on("response", hearStatus); // an error that is known at once comes without trailers
    stream.on("trailers", hearStatus);
    stream.on("error", () => undefined); // "close" follows
    stream.on("close", () => {
      if (isOpen) report.open--;
      this.#ended(status);
    });
    const start = this.#token === "" ? { initialSnapshot: true } : { startToken: this.#token };
    const request = create(WatchOperatorsRequestSchema, { ...start, bookmarkInterval: { seconds: 2n } });
    stream.end(framed(toBinary(WatchOperatorsRequestSchema, request)));
  }

  /** Every revision changes something that an empty filter lets through, so none may be missing and none may come twice. */
  #heard({ kind, revision, token, bytes }: ReturnType<WatchFrames["push"]>[number]): void {
    report.messages++;
    report.largestMessage = Math.max(report.largestMessage, bytes);
    if (revision === undefined) return; // within a snapshot
    const expected = kind === "changes" ? this.revision + 1 : this.revision;
    if (this.#token !== "" && revision !== expected) {
      report.problems.push(`${this.kind} at ${this.#url}: ${kind} at ${revision} after ${this.revision}`);
    }
    this.revision = revision;
    this.#token = token;
  }

  #ended(status: string): void {
    if (status === OUT_OF_RANGE) {
      if (this.follows) report.listsAgain++;
      this.#token = "";
    }
    if (this.kind === "black-holed") return; // nobody is there to come again
    setTimeout(() => void this.open().catch(() => this.#ended("")), 50 + Math.random() * 200);
  }
}

const sessions = new Map<string, { session: ClientHttp2Session; streams: number }>();

/** One connection for many prompt readers; one of its own for a slow one, whose unread bytes would hold up the others. */
async function sessionTo(url: string, kind: WatcherKind): Promise<ClientHttp2Session> {
  if (kind === "slow") return openSession(url);
  if (kind === "black-holed") return openSession(await blackHoleTo(url));
  const known = sessions.get(url);
  if (
    known !== undefined &&
    !known.session.closed &&
    !known.session.destroyed &&
    known.streams < STREAMS_PER_CONNECTION
  ) {
    known.streams++;
    return known.session;
  }
  const session = openSession(url);
  session.on("connect", () => session.setLocalWindowSize(WINDOW_BYTES));
  sessions.set(url, { session, streams: 1 });
  return session;
}

function openSession(url: string): ClientHttp2Session {
  const session = connectHttp2(url);
  session.on("error", () => undefined); // its streams say so
  return session;
}

/** A way that takes the first bytes from the service and then none: what a reader's machine does when it has lost its power. */
async function blackHoleTo(url: string): Promise<string> {
  const { hostname, port } = new URL(url);
  const listener = createServer((client) => {
    const service = connectTcp(Number(port), hostname);
    client.pipe(service);
    service.on("data", (bytes) => {
      client.write(bytes);
      if (service.bytesRead > 1_024) service.pause();
    });
    client.on("error", () => service.destroy());
    service.on("error", () => client.destroy());
    service.on("close", () => client.destroy());
    client.on("close", () => service.destroy());
  });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  return `http://127.0.0.1:${(listener.address() as AddressInfo).port}`;
}

function framed(message: Uint8Array): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

process.on("message", (order: HerdOrder) => {
  if (order.kind === "report") {
    const following = watchers.filter(({ follows }) => follows);
    report.slowest = Math.min(...following.map(({ revision }) => revision));
    process.send?.(report);
    return;
  }
  for (let n = 0; n < order.count; n++) {
    const token = order.watchers === "snapshot" ? "" : order.token;
    const watcher = new Watcher(order.watchers, order.urls, token, order.revision);
    watchers.push(watcher);
    void watcher.open().catch((error: unknown) => report.problems.push(String(error)));
  }
});
process.on("disconnect", () => process.exit());
