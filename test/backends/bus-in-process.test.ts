import { beforeEach, describe } from "vitest";
import { InProcessBus } from "../../src/backends/bus/in-process-bus.ts";
import { busContract } from "./bus-contract.ts";

describe("the bus inside the process", () => {
  let bus: InProcessBus | undefined;
  beforeEach(() => {
    bus = undefined;
  });
  busContract(async () => (bus ??= new InProcessBus({ pauses: { firstMs: 5, maxMs: 20 } })));
});
