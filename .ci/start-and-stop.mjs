// Starts the service the way the README does, on free ports and an empty data folder, waits until it says it is ready,
// stops it with SIGTERM and demands exit code 0.
// Usage: node start-and-stop.mjs data-folder
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

const startLimit = 60_000;
const stopLimit = 30_000;

const [dataFolder] = process.argv.slice(2);
const [port, metricsPort] = await freePorts(2);
const npm = spawn("npm", ["start"], {
  env: { ...process.env, OPS_DATA_DIR: dataFolder, OPS_PORT: `${port}`, OPS_METRICS_PORT: `${metricsPort}` },
  stdio: "inherit",
  // A process group of its own, so that giving up also ends what npm started.
  detached: true,
});
const exited = once(npm, "exit");
process.on("exit", () => npm.exitCode === null && npm.signalCode === null && killGroup());

await ready(`http://127.0.0.1:${metricsPort}/readyz`);
console.log("Ready. Sending SIGTERM.");
npm.kill("SIGTERM");
const [code, signal] = await Promise.race([exited, sleep(stopLimit, ["still running after 30 s"], { ref: false })]);
if (code !== 0) fail(`The service must exit with 0 on SIGTERM, got ${signal ?? code}.`);
console.log("Exited with 0.");

/** @param {string} url */
async function ready(url) {
  const deadline = Date.now() + startLimit;
  while (Date.now() < deadline) {
    if (npm.exitCode !== null) fail(`The service exited with ${npm.exitCode} before it was ready.`);
    const response = await fetch(url, { signal: AbortSignal.timeout(2000) }).catch(() => undefined);
    if (response?.ok) return;
    await sleep(200);
  }
  fail(`${url} did not say ready within ${startLimit / 1000} s.`);
}

/**
 * Holds all of them open at once, so that they differ.
 * @param {number} count
 */
async function freePorts(count) {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => {
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("not a TCP address");
    return address.port;
  });
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return ports;
}

/**
 * @param {string} message
 * @returns {never}
 */
function fail(message) {
  console.error(message);
  process.exit(1);
}

function killGroup() {
  if (npm.pid !== undefined) process.kill(-npm.pid, "SIGKILL");
}
