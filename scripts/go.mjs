// A Go that is new enough: the machine's, else one from the module proxy for the duration of a build. Debian's own is often too old.
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, createWriteStream, readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { pipeline } from "node:stream/promises";

const LEAST = [1, 26];

const TOOLCHAIN = "go1.26.8";

/** What Go's checksum database (sum.golang.org) says of the toolchain. */
const CHECKSUMS = /** @type {Record<string, string>} */ ({
  "linux-amd64": "ZOmGe1OnfREDMIdb1Qi4G9JSuDPBLGExZMQ4nis1RXM=",
  "linux-arm64": "sYL/O6MqS68ML0kjsQ36WoYIpJqkw60TxizWUYUKQMc=",
});

/**
 * @param {{ scratch: string, say: (text: string) => void }} options what is downloaded goes into `scratch`, which the caller removes
 * @returns {Promise<{ command: string, env: NodeJS.ProcessEnv }>}
 */
export async function go({ scratch, say }) {
  // No compiler for C needed.
  const env = { ...process.env, CGO_ENABLED: "0" };
  const command = ["go", "/usr/local/go/bin/go"].find(isNewEnough);
  if (command !== undefined) return { command, env };
  return {
    command: await download(scratch, say),
    // Nothing of it stays: not in the home folder, and not read-only, so that it can be removed.
    env: {
      ...env,
      GOTOOLCHAIN: "local",
      GOFLAGS: "-modcacherw",
      GOPATH: join(scratch, "gopath"),
      GOCACHE: join(scratch, "gocache"),
    },
  };
}

/** @param {string} command */
function isNewEnough(command) {
  const { stdout } = spawnSync(command, ["env", "GOVERSION"], { encoding: "utf8" });
  const [, major, minor] = /^go(\d+)\.(\d+)/.exec(stdout ?? "") ?? [];
  const [leastMajor = 0, leastMinor = 0] = LEAST;
  return Number(major) > leastMajor || (Number(major) === leastMajor && Number(minor) >= leastMinor);
}

/**
 * @param {string} scratch
 * @param {(text: string) => void} say
 */
async function download(scratch, say) {
  const platform = `linux-${process.arch === "x64" ? "amd64" : process.arch}`;
  const checksum = CHECKSUMS[platform];
  if (checksum === undefined)
    throw new Error(`no Go ${LEAST.join(".")} here, and none known for ${platform}: install it`);
  const url = `${proxy()}/golang.org/toolchain/@v/v0.0.1-${TOOLCHAIN}.${platform}.zip`;
  say(`${TOOLCHAIN}: downloading it for the build (70 MB), as ${LEAST.join(".")} or newer isn't here`);
  const response = await fetch(url);
  if (!response.ok || response.body === null) throw new Error(`${url}: ${response.status} ${response.statusText}`);
  const zip = join(scratch, "go.zip");
  await pipeline(response.body, createWriteStream(zip));
  const unpacked = join(scratch, "go");
  execFileSync("python3", ["-m", "zipfile", "-e", zip, unpacked], { stdio: "inherit" });
  if (directoryHash(unpacked) !== checksum) throw new Error(`${url} isn't what Go's checksum database says it is`);
  const root = join(unpacked, `golang.org/toolchain@v0.0.1-${TOOLCHAIN}.${platform}`);
  // A module's zip doesn't know which files are programs.
  for (const folder of ["bin", `pkg/tool/${platform.replace("-", "_")}`]) {
    for (const name of readdirSync(join(root, folder))) chmodSync(join(root, folder, name), 0o755);
  }
  return join(root, "bin/go");
}

/** The first proxy that Go itself would ask. */
function proxy() {
  const configured = process.env["GOPROXY"] || spawnSync("go", ["env", "GOPROXY"], { encoding: "utf8" }).stdout || "";
  const urls = configured.trim().split(/[,|]/);
  return (urls.find((url) => /^https?:/.test(url)) ?? "https://proxy.golang.org").replace(/\/$/, "");
}

/**
 * The "h1" hash of Go's checksum database.
 * @param {string} root
 */
function directoryHash(root) {
  const files = readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  const lines = files
    .map((file) => ({ name: relative(root, file), file }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, file }) => `${createHash("sha256").update(readFileSync(file)).digest("hex")}  ${name}\n`);
  return createHash("sha256").update(lines.join("")).digest("base64");
}
