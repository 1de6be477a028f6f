import { BindState } from "@operator-management/contract/ops/v1/health_pb.js";
import { MessageIdFormat } from "@operator-management/contract/ops/v1/receipts_pb.js";
import { expect, test } from "vitest";
import type { Behaviour } from "../../smsc-simulator/src/behaviour.ts";
import { accountOf, acme, runSmsc, until, uid } from "./harness.ts";
import { bound, two } from "./running.ts";

/** A connector with traffic on two binds of a vendor that behaves so, reporting every half second. */
async function sending(behaviour: Behaviour, more: Parameters<typeof bound>[1] = {}, options = {}) {
  const smsc = await runSmsc({ accounts: [{ ...acme, behaviour }] });
  const init = { ...two, throughput: { maxSegmentsPerSecond: 100 }, ...more };
  const running = await bound(2, init, smsc, { intervalMs: 500, traffic: true, ...options });
  return { ...running, last: () => running.mesh.health.at(-1) };
}

test("it reports every answer by its class and status, as the vendor counted them", async () => {
  const submitErrors = [{ status: "0x0401", errorClass: 4 }];
  const { mesh, smsc, last, stop } = await sending(
    { errors: { ESME_RSYSERR: 0.2, "0x0401": 0.1, ESME_RINVDSTADR: 0.1 }, latency: { fixed: 0.02 } },
    { submitErrors },
  );
  await until(() => (last()?.quality?.segments?.ok ?? 0) > 50 && (last()?.quality?.observedRate ?? 0) > 0);
  await stop();
  const { submits = {} } = accountOf(smsc)?.totals ?? {};
  const quality = last()?.quality;
  expect(last()).toMatchObject({ leaving: true, node: "test-node", operatorUid: uid, connectionId: "main" });
  expect(quality?.segments).toMatchObject({
    ok: submits["ESME_ROK"],
    temporary: submits["ESME_RSYSERR"],
    account: submits["0x0401"],
    message: submits["ESME_RINVDSTADR"],
    unknown: 0,
  });
  expect(quality?.commandStatuses).toEqual({
    0x08: submits["ESME_RSYSERR"],
    0x0401: submits["0x0401"],
    0x0b: submits["ESME_RINVDSTADR"],
  });
  const answers = Object.values(submits).reduce((sum, count) => sum + count, 0);
  const latencies = Object.entries(quality?.latency?.buckets ?? {});
  expect(latencies.reduce((sum, [, count]) => sum + count, 0)).toBe(answers);
  // Below 1.2 ** 15 milliseconds nothing can have been answered.
  expect(Math.min(...latencies.map(([bucket]) => Number(bucket)))).toBeGreaterThanOrEqual(15);
  expect(mesh.health.some(({ goodStreak }) => goodStreak > 0)).toBe(true);
  expect(last()?.goodStreak).toBe(0);
});

test("it slows down for a vendor that throttles, says so, and puts the messages back", async () => {
  const { smsc, last, connector, stop } = await sending({ throttle: { perSecond: 10 } });
  await until(() => (last()?.quality?.segments?.throttled ?? 0) > 0 && last()?.quality?.throttledRate !== undefined);
  expect(last()?.quality?.throttledRate).toBeLessThan(100);
  await until(() => (last()?.quality?.queueDepth ?? 0) > 0 && last()?.quality?.oldestQueuedAge !== undefined);
  const [link] = connector.links;
  await stop();
  expect(link?.outbox.outcome).toMatchObject({ refused: 0, unknown: 0, taken: accountOf(smsc)?.totals.messagesTaken });
});

test("answers that never come are unknown", async () => {
  const { last } = await sending({ unanswered: { share: 0.5 } }, { timers: { response: { seconds: 1n } } });
  await until(() => (last()?.quality?.segments?.unknown ?? 0) > 0);
});

test.for([
  [
    "hexadecimal and decimal ids",
    { ids: { response: "hex", receipt: "decimal" } },
    { submitId: MessageIdFormat.HEX, receiptId: MessageIdFormat.DEC },
  ],
  ["receipts by TLV", { receipts: { format: "tlv" } }, {}],
] as const)("receipts are matched on whichever bind they come: %s", async ([, behaviour, receipts]) => {
  const clock = { ahead: 0 };
  const { smsc, last, connector } = await sending(
    {
      ...behaviour,
      receipts: {
        delay: 0.1,
        jitter: 0.2,
        states: { UNDELIV: 0.3 },
        ...("receipts" in behaviour && behaviour.receipts),
      },
    },
    { receipts },
    { healthNow: () => Date.now() + clock.ahead },
  );
  const [link] = connector.links;
  await until(() => (link?.outbox.outcome.receipts ?? 0) > 30);
  clock.ahead = 11 * 60_000;
  await until(() => (last()?.quality?.receipts?.undeliverable ?? 0) > 0);
  const { submitted = 0, delivered = 0, undeliverable = 0 } = last()?.quality?.receipts ?? {};
  expect(submitted).toBeGreaterThan(30);
  expect(delivered).toBeGreaterThan(undeliverable);
  expect(delivered + undeliverable).toBeLessThanOrEqual(submitted);
  expect(smsc.state().totals).toBeDefined();
});

test("the operator's registered_delivery is sent: without it the vendor sends no receipt", async () => {
  const { smsc, last } = await sending({ receipts: { delay: 0 } }, { submit: { registeredDelivery: 0 } });
  await until(() => (last()?.quality?.segments?.ok ?? 0) > 20);
  expect(accountOf(smsc)?.totals.receipts).toMatchObject({ sent: 0, scheduled: 0 });
});

test("lost binds are reported at once, and counted; those that are back are too", async () => {
  const { smsc, mesh, last } = await sending({}, {}, { intervalMs: 600_000 });
  await until(() => last()?.binds.every(({ state }) => state === BindState.BOUND) === true);
  smsc.disconnect(acme.systemId);
  await until(() => last()?.flaps === 2 && last()?.binds.every(({ state }) => state === BindState.BOUND) === true);
  expect(
    mesh.health.some(
      ({ binds, goodStreak }) => binds.some(({ state }) => state !== BindState.BOUND) && goodStreak === 0,
    ),
  ).toBe(true);
});
