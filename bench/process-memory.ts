import { readFile } from "node:fs/promises";

/** Resident memory of a process, now and at its highest so far, in MiB. Linux only. */
export async function memoryOf(pid: number): Promise<{ residentMiB: number; highestMiB: number }> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  const mib = (field: string): number => Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(status)?.[1]) / 1024;
  return { residentMiB: mib("VmRSS"), highestMiB: mib("VmHWM") };
}
