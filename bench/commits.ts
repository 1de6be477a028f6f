import { adminWriter } from "./admin-writer.ts";
import type { Figure } from "./figure.ts";
import { pgbench } from "./pgbench.ts";
import { ROUNDS, type Scene } from "./scene.ts";
import { median } from "./statistics.ts";

const WRITERS = 16;
const SECONDS = 5;

/** Changes committed per second by 16 writers, beside the same SQL without a service around it. */
export async function commits({ pod, editors, baselineDatabase, transaction, say }: Scene): Promise<Figure[]> {
  const service: number[] = [];
  const baseline: number[] = [];
  for (let round = 1; round <= ROUNDS; round++) {
    service.push(await commitsPerSecond(pod.service.url, editors));
    baseline.push(await pgbench(baselineDatabase, transaction, { clients: WRITERS, seconds: SECONDS }));
    say(`round ${round}: service ${service.at(-1)?.toFixed(0)}/s, pgbench ${baseline.at(-1)?.toFixed(0)}/s`);
  }
  return [
    {
      what: `commits, ${WRITERS} writers`,
      unit: "/s",
      more: true,
      service: median(service),
      baseline: median(baseline),
      how: `the same statements and sizes in pgbench, ${WRITERS} clients, same server; UpdateOperator as Connect-JSON, 500 operators, one replica of the service`,
    },
  ];
}

async function commitsPerSecond(url: string, editors: readonly string[]): Promise<number> {
  const writers = Array.from({ length: WRITERS }, (_, n) => adminWriter(url, editors[n % editors.length] ?? "", n));
  try {
    const began = performance.now();
    const end = began + SECONDS * 1_000;
    let count = 0;
    await Promise.all(
      writers.map(async (writer) => {
        while (performance.now() < end) {
          await writer.update();
          count++;
        }
      }),
    );
    return (count / (performance.now() - began)) * 1_000;
  } finally {
    for (const writer of writers) writer.close();
  }
}
