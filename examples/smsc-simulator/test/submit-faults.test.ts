import { expect, test } from "vitest";
import { behaving, boundClient, message, runSmsc, submitMany, totalsOf, until } from "./harness.ts";

test("a share of the submits is refused with the statuses asked for, the same ones in each run with the same seed", async () => {
  const errors = { ESME_RSYSERR: 0.1, "0x0401": 0.2 };
  const counts: unknown[] = [];
  for (const seed of [7, 7, 8]) {
    const { smsc, port } = await runSmsc({ ...behaving({ errors }), seed });
    counts.push(await submitMany(await boundClient(port), 500));
    expect(totalsOf(smsc).submits).toMatchObject({ ESME_RSYSERR: (counts.at(-1) as Record<number, number>)[8] });
  }
  expect(counts[0]).toEqual(counts[1]);
  expect(counts[0]).not.toEqual(counts[2]);
  const [{ 8: system = 0, 0x0401: own = 0, 0: fine = 0 }] = counts as [Record<number, number>];
  expect(system + own + fine).toBe(500);
  expect(system).toBeGreaterThan(25);
  expect(system).toBeLessThan(80);
  expect(own).toBeGreaterThan(70);
  expect(own).toBeLessThan(140);
});

test("a share of the submits is never answered, though the message is taken", async () => {
  const { smsc, port } = await runSmsc(behaving({ unanswered: { share: 1 } }));
  const client = await boundClient(port);
  let answered = false;
  client.ask("submit_sm", message).then(
    () => (answered = true),
    () => undefined,
  );
  expect((await client.ask("enquire_link")).command_status).toBe(0);
  expect(answered).toBe(false);
  expect(totalsOf(smsc)).toMatchObject({ submits: { unanswered: 1 }, messagesTaken: 1 });
  expect(smsc.messages("acme01")).toMatchObject([{ text: "hello", answered: false, receipt: "none" }]);
});

test("with taken: false the message is lost as well", async () => {
  const { smsc, port } = await runSmsc(behaving({ unanswered: { share: 1, taken: false } }));
  const client = await boundClient(port);
  client.ask("submit_sm", message).catch(() => undefined);
  await client.ask("enquire_link");
  expect(totalsOf(smsc)).toMatchObject({ submits: { unanswered: 1 }, messagesTaken: 0 });
  expect(smsc.messages("acme01")).toEqual([]);
});

test("with a latency the answer comes later than what was asked after it", async () => {
  const { smsc, port } = await runSmsc(behaving({ latency: { fixed: 0.15, jitter: 0.05 } }));
  const client = await boundClient(port);
  const submit = client.ask("submit_sm", message);
  await client.ask("enquire_link");
  await submit;
  expect(client.heard.slice(1)).toEqual(["enquire_link_resp", "submit_sm_resp"]);
  await until(() => smsc.messages("acme01")[0]?.answered === true);
});
