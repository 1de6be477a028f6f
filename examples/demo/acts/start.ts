import { START_TIMEOUT, type Stage } from "../stage.ts";
import { vendors } from "../vendors.ts";

/** Failed logins after which the vendors lock an account. */
export const LOCKED_AFTER = 4;

export interface Cast extends ReturnType<typeof vendors> {
  /** Where acme is at first. */
  readonly acmePort: number;
  /** Where acme moves to later. */
  readonly acmeNewPort: number;
}

/** All three processes, the connector first: it waits for the service. */
export async function start(stage: Stage): Promise<Cast> {
  const { narrator } = stage;
  narrator.section(
    "Three processes start",
    "a simulator of the operators' SMSCs, a connector, and the service; everything on this machine,",
    "on free ports, in a temporary folder.",
  );
  const [acme = 0, acmeNewPort = 0, solaTx = 0, solaRx = 0, hub = 0] = await stage.startSimulator(5);
  narrator.say(`simulator: SMPP on ports ${[acme, acmeNewPort, solaTx, solaRx, hub].join(", ")}`);
  const cast = { ...vendors({ acme, solaTx, solaRx, hub }), acmePort: acme, acmeNewPort };
  const behaviour = { lock: { after: LOCKED_AFTER, within: 900, for: 1800 } };
  for (const { systemId, password, maxBinds, systemType } of [cast.acme, cast.sola, cast.hub]) {
    await stage.setAccount({
      systemId,
      password,
      maxBinds,
      behaviour,
      ...(systemType !== undefined && { systemType }),
    });
  }
  narrator.say("simulator: the vendors opened three accounts, each with 2 binds at most");
  narrator.detail(`and lock one for half an hour after ${LOCKED_AFTER} failed logins`);

  const connector = stage.startConnector();
  await stage.until("the connector waits", () => connector.find(/not there yet/), { timeoutMs: START_TIMEOUT });
  narrator.say(`connector: started first; the service isn't there yet, so it waits`);

  const begin = Date.now();
  narrator.say("service:   starting with an empty folder (the database is created, which takes a few seconds)");
  const ready = await stage.startService();
  narrator.say(`service:   ready on port ${stage.port} after ${((ready.time - begin) / 1000).toFixed(1)} s`);
  const found = await stage.until("the connector hears the service", () => connector.find(/revision 0 received/));
  narrator.proven(
    `the connector found it by itself, ${Math.max(0, found.time - ready.time)} ms later: nothing to bind yet`,
  );
  return cast;
}
