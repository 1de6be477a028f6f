import { OperationalReason, OperationalState } from "@operator-management/contract/ops/v1/health_pb.js";
import { QualityGrade } from "@operator-management/contract/ops/v1/quality_pb.js";
import { errorShare, healthWords, later, percent, untilHealth, untilUp } from "../health.ts";
import { expectFirst, routesTo, tellRoutes } from "../routes.ts";
import type { Stage } from "../stage.ts";
import { acmeNetwork, type Vendor } from "../vendors.ts";
import { expectThat } from "../wait.ts";
import type { Cast } from "./start.ts";

/** Shares of errors that are held until they are reported: between the two thresholds, and above the second. */
const WARNING_SHARE = 0.14;
const CRITICAL_SHARE = 0.23;

/** A vendor answers with errors, first some, then more. */
export async function degradeByErrors(stage: Stage, { acme, hub }: Cast): Promise<void> {
  const { narrator } = stage;
  narrator.section(
    "A link degrades by errors: its share is halved, then it comes last",
    "acme-de's SMSC answers ESME_RSYSERR. The connector reports what it is answered; the service judges the last",
    "5 minutes: warning from 10 %, critical from 20 %.",
  );
  await untilUp(stage, acme);
  const before = await expectFirst(stage, acmeNetwork, acme.operatorId);

  await failUpTo(stage, acme, WARNING_SHARE);
  await degraded(stage, acme, QualityGrade.WARNING);
  const halved = await routesTo(stage, acmeNetwork);
  tellRoutes(stage, acmeNetwork, halved);
  const [share = 0, shareBefore = 0] = [halved, before].map(({ shares }) => shares.get(acme.operatorId));
  expectThat(share < shareBefore, "acme-de should get fewer messages than before");
  narrator.proven(`acme-de gets ${share} messages instead of ${shareBefore}`);

  await failUpTo(stage, acme, CRITICAL_SHARE);
  await degraded(stage, acme, QualityGrade.CRITICAL);
  await expectFirst(stage, acmeNetwork, hub.operatorId);

  await behave(stage, acme, null);
  const recovering = Date.now();
  narrator.say("the vendor is well again; the errors weigh less with every good answer");
  const { time } = await untilUp(stage, acme);
  narrator.proven(`acme-de is UP again, after good reports in a row, ${later(recovering, time)}`);
  await expectFirst(stage, acmeNetwork, acme.operatorId);
}

/** Lets the vendor fail until this share of all its answers was an error, and keeps it there. */
async function failUpTo(stage: Stage, vendor: Vendor, share: number): Promise<void> {
  await behave(stage, vendor, 1);
  const isReached = async (): Promise<boolean> => {
    const { submits } = (await stage.account(vendor.systemId)).totals;
    const all = Object.values(submits).reduce((sum, count) => sum + count, 0);
    return (submits.ESME_RSYSERR ?? 0) >= share * all;
  };
  await stage.until(`${percent(share)} of the answers are errors`, isReached);
  await behave(stage, vendor, share);
  stage.narrator.say(`${percent(share)} of the vendor's answers are errors by now`);
}

function behave(stage: Stage, { systemId }: Vendor, share: number | null): Promise<void> {
  const set = { errors: share === null ? null : { ESME_RSYSERR: share } };
  return stage.vendorDoes({ do: "behave", account: systemId, set });
}

async function degraded(stage: Stage, vendor: Vendor, wanted: QualityGrade): Promise<void> {
  const begin = Date.now();
  const { health, time } = await untilHealth(
    stage,
    vendor,
    `DEGRADED, ${QualityGrade[wanted].toLowerCase()}`,
    ({ state, grade, reasons }) =>
      state === OperationalState.DEGRADED && grade === wanted && reasons.includes(OperationalReason.ERROR_RATE),
  );
  stage.narrator.proven(`${healthWords(health)}, ${percent(errorShare(health))} reported, ${later(begin, time)}`);
}
