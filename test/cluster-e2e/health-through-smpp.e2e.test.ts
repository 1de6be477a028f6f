import type { DescEnum } from "@bufbuild/protobuf";
import { RotationMode } from "@operator-management/contract/ops/v1/credential_pb.js";
import {
  OperationalReason,
  OperationalReasonSchema,
  OperationalStateSchema,
  type HealthTransition,
} from "@operator-management/contract/ops/v1/health_pb.js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startCluster, type Cluster } from "../cluster/cluster.ts";
import { until } from "../cluster/until.ts";
import { openHealthBus, type HealthBus } from "./support-health-bus.ts";
import { healthWords, watchSightings, type Sightings } from "./support-sightings.ts";
import { FAULTS } from "./support-smpp-faults.ts";
import { startSmppStage, type LinkPlan, type SmppStage } from "./support-smpp-stage.ts";
import { byLink, expectChained, untilStored } from "./support-transitions.ts";

const TRIES = 3;
const LONG_MS = 240_000;

/** One try more than the budget, and the vendor bans the account for good. */
const bansAtFourth = { behaviour: { lock: { after: TRIES + 1, for: 0 } } };
const REFUSED: readonly LinkPlan[] = [
  { id: "mistyped", connector: 0, mistyped: true, account: bansAtFourth },
  { id: "corrected", connector: 0, mistyped: true, account: { ...bansAtFourth, systemType: "cp" } },
];
/** Tried as often as it takes; beside it one sees what isn't tried. */
const OUTAGE: LinkPlan = {
  id: "outage",
  connector: 0,
  account: { behaviour: { binds: { refuseWith: "ESME_RSYSERR" } } },
};
const STEADY: LinkPlan = { id: "steady", connector: 1 };

/** By operator: every state after the first UNKNOWN, with the most severe reason. */
const RECORDED: Readonly<Record<string, readonly string[]>> = {
  steady: ["UP"],
  outage: ["DOWN: NO_BIND", "UP"],
  mistyped: ["AUTH_FAILED: AUTH_REJECTED", "UP"],
  corrected: ["AUTH_FAILED: AUTH_REJECTED", "UNKNOWN: CONFIG_CHANGED", "UP"],
  ...Object.fromEntries(FAULTS.map(({ id, recorded }) => [id, ["UP", recorded, "UP"]])),
};

/**
 * Invariants: whatever a vendor does to a link over SMPP, all pods say the same of it, with the same reasons, and it is recorded once; every state
 * and every reason that there is comes from what a connector sees of a vendor. And (test 7 of the ten, second half) a password that the vendor
 * refuses is tried no more often than the budget says; a new one, stored over any pod, is bound with by itself, and the link is UP again.
 *
 * Three connectors, each on one pod, run links of their own to vendors that one simulator plays; to the other pods their reports come by the bus.
 */
describe("the health of links to vendors", () => {
  let cluster: Cluster;
  let stage: SmppStage;
  let bus: HealthBus;
  let sightings: Sightings;

  beforeAll(async () => {
    cluster = await startCluster({ nats: 1, replica: false, links: false });
    bus = await openHealthBus(cluster.nats);
    stage = await startSmppStage(cluster);
    sightings = watchSightings(cluster);
    for (const plan of [...REFUSED, OUTAGE, STEADY, ...FAULTS]) await stage.enable(plan);
  }, LONG_MS);
  afterAll(async () => {
    await sightings?.[Symbol.asyncDispose]();
    await stage?.[Symbol.asyncDispose]();
    await bus?.[Symbol.asyncDispose]();
    await cluster?.[Symbol.asyncDispose]();
  });

  const failedLogins = () => REFUSED.map(({ id }) => stage.account(id).totals.failedLogins);
  /** Meanwhile a password whose tries are not counted would be tried as often. */
  const outageIsTriedAgain = async (times: number): Promise<void> => {
    const refused = (): number => stage.account(OUTAGE.id).totals.bindsRefused["ESME_RSYSERR"] ?? 0;
    const before = refused();
    await until("a bind that the vendor's outage fails is tried again", () => refused() >= before + times);
  };

  test.concurrent(
    "a refused password is tried three times; a new one is bound with by itself",
    async () => {
      await Promise.all(REFUSED.map(({ id }) => sightings.alike(id, "AUTH_FAILED: AUTH_REJECTED, NO_BIND")));
      await sightings.alike(OUTAGE.id, "DOWN: NO_BIND");
      await until("all tries are spent", () => failedLogins().every((count) => count >= TRIES));
      await outageIsTriedAgain(2 * TRIES);
      expect(failedLogins(), "tries of passwords that the vendor refuses").toEqual([TRIES, TRIES]);

      await stage.admin(1).updateOperator({
        operatorId: "corrected",
        operator: { connections: { main: { systemType: "cp" } } },
        updateMask: { paths: ["connections.main.system_type"] },
      });
      await sightings.alike("corrected", "UNKNOWN: CONFIG_CHANGED");
      await outageIsTriedAgain(TRIES);
      expect(failedLogins(), "after a correction that brings no new password").toEqual([TRIES, TRIES]);
      await sightings.alike("mistyped", "AUTH_FAILED: AUTH_REJECTED, NO_BIND");

      for (const { id } of REFUSED) {
        await stage.admin(2).rotateConnectionCredential({
          ...{ operatorId: id, connectionId: "main", systemId: id, password: stage.password },
          mode: RotationMode.REPLACE,
        });
      }
      for (const { id } of REFUSED) {
        await sightings.alike(id, "UP");
        await until(`the new password of ${id} has taken the old one's place`, async () => {
          const { operator } = await stage.admin(1).getOperator({ operatorId: id });
          const { active, pending } = operator?.connections["main"]?.credential ?? {};
          return active?.version === 2 && pending === undefined;
        });
      }
      stage.smsc.behave(OUTAGE.id, { binds: null });
      await sightings.alike(OUTAGE.id, "UP");
    },
    LONG_MS,
  );

  test.concurrent(
    "each fault of a vendor or a node looks alike to all pods, and so does its end",
    async () => {
      await sightings.alike(STEADY.id, "UP");
      await Promise.all(
        FAULTS.map(async ({ id, strike, looks, mend }) => {
          await sightings.alike(id, "UP");
          await strike(stage);
          await sightings.alike(id, looks);
          await mend(stage);
          await sightings.alike(id, "UP");
        }),
      );
      await sightings.alike(STEADY.id, "UP");
    },
    LONG_MS,
  );

  test("those were all states and reasons that there are, and each change is recorded once", async () => {
    expect([...sightings.states].toSorted(), "states seen").toEqual(namesOf(OperationalStateSchema));
    expect([...sightings.reasons].toSorted(), "reasons seen").toEqual(namesOf(OperationalReasonSchema));

    await untilStored(bus, cluster.postgres.primary);
    const recorded = await bus.transitions();
    expectChained(recorded);
    const words = [...byLink(recorded)].map(([id, of]) => [
      id,
      of.map(({ transition }) => transitionWords(transition)),
    ]);
    expect(Object.fromEntries(words), "what was recorded").toEqual(RECORDED);
    const [counted] = await cluster.postgres.primary.query<{ n: number }>(
      "SELECT count(*)::int AS n FROM health_transition",
    );
    expect(counted?.n, "transitions stored").toBe(recorded.length);
    expect(await bus.deadLetters()).toEqual([]);

    expect(failedLogins(), "in the end").toEqual([TRIES, TRIES]);
    expect(REFUSED.map(({ id }) => stage.account(id).totals.locks)).toEqual([0, 0]);
    const { bindsAccepted, bindsRefused, messagesReceived, messagesRefused } = stage.smsc.state().totals;
    console.log(
      `${sightings.states.size} states and ${sightings.reasons.size} reasons, alike on ${cluster.pods.length} pods in ` +
        `${JSON.stringify(sightings.counts)}; ${recorded.length} transitions, stored once; the vendors: ` +
        JSON.stringify({ bindsAccepted, bindsRefused, messagesReceived, messagesRefused }),
    );
  });
});

/** Of all values but the one that is never served, in order. */
function namesOf({ values }: DescEnum): string[] {
  const served = values.filter(({ number }) => number !== 0);
  return served.map(({ localName }) => localName).toSorted();
}

/** `DOWN: NO_BIND` */
function transitionWords({ to, reason }: HealthTransition): string {
  return healthWords({ state: to, reasons: reason === OperationalReason.UNSPECIFIED ? [] : [reason] });
}
