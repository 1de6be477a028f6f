import { existsSync } from "node:fs";
import { afterAll, afterEach, beforeAll, describe } from "vitest";
import { startNats, type Nats, type NatsOptions } from "../cluster/nats.ts";
import { busContract } from "./bus-contract.ts";
import { connected, jetStreamBus, removeStreams } from "./jetstream-buses.ts";

/** Debian's package: the oldest server that has to do. */
const DEBIAN = "/usr/sbin/nats-server";

describe("a bus on one node", () => contractOn({ nodes: 1 }));
describe("a bus on three nodes", () => contractOn({ nodes: 3 }));
describe.runIf(existsSync(DEBIAN))("a bus on one node of Debian's release", () =>
  contractOn({ nodes: 1, binary: DEBIAN }),
);

function contractOn(options: NatsOptions): void {
  let nats: Nats;
  beforeAll(async () => {
    nats = await startNats(options);
  });
  afterEach(() => removeStreams(nats));
  afterAll(() => nats[Symbol.asyncDispose]());
  busContract(async () => {
    const bus = jetStreamBus(nats);
    await connected(bus);
    return bus;
  });
}
