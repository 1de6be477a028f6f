import { freePort } from "../harness/free-port.ts";
import { spawnService, type SpawnedService } from "../harness/service.ts";
import type { Link } from "./links.ts";

/** One replica of the service: a process with a way of its own to each server. */
export interface Pod {
  readonly name: string;
  /** Of the last start; its URLs stay the same. */
  readonly service: SpawnedService;
  readonly links: PodLinks;
  /** kill -9. */
  kill(): Promise<void>;
  /** Freezes it: SIGSTOP. */
  pause(): void;
  resume(): void;
  /** SIGTERM, and its end awaited. */
  stop(): Promise<void>;
  /** Starts it again on the same ports, after an orderly stop when it runs; resolves when it is ready. */
  restart(): Promise<void>;
}

export interface PodLinks {
  readonly primary: Link;
  /** Without a replica it leads to the primary, and nobody uses it. */
  readonly replica: Link;
  readonly nats: readonly Link[];
  readonly vault: Link;
}

export interface PodPlan {
  readonly name: string;
  /** Without links, reading them is an error. */
  readonly links: PodLinks | undefined;
  readonly adminToken: string;
  readonly env: Readonly<Record<string, string>>;
}

/** Resolves when it is ready. */
export async function startPod({ name, links, adminToken, env }: PodPlan): Promise<Pod> {
  const [port, metricsPort] = [await freePort(), await freePort()];
  const spawn = (): Promise<SpawnedService> => spawnService({ name, port, metricsPort, adminToken, env });
  let service = await spawn();
  const isRunning = (): boolean => service.process.exitCode === null && service.process.signalCode === null;
  const stop = async (): Promise<void> => {
    if (isRunning()) await service.close();
  };
  return {
    name,
    get service() {
      return service;
    },
    get links() {
      if (links === undefined) throw new Error("this cluster was started without links");
      return links;
    },
    kill: async () => {
      if (isRunning()) await service.kill();
    },
    pause: () => void service.process.kill("SIGSTOP"),
    resume: () => void service.process.kill("SIGCONT"),
    stop,
    restart: async () => {
      await stop();
      service = await spawn();
    },
  };
}
