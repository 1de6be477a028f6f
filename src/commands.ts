import { parseArgs } from "node:util";
import { passwordFromFile, type PasswordSource } from "./backends/secrets/password-source.ts";
import { configHelp, parseConfig, parseDatabaseConfig } from "./config.ts";
import { migrateCommand } from "./migrate-command.ts";
import { StartError } from "./start-error.ts";
import { storeResetCommand } from "./store-reset-command.ts";
import { verifyDatabase, verifyDataFolder, type Verdict } from "./verify-command.ts";

type Environment = Readonly<Record<string, string | undefined>>;

const options = {
  help: { type: "boolean", short: "h" },
  "service-role": { type: "string" },
  yes: { type: "boolean" },
  force: { type: "boolean" },
} as const;

/** Which command takes which options. */
const COMMANDS: Readonly<Record<string, readonly (keyof typeof options)[]>> = {
  serve: [],
  verify: [],
  migrate: ["service-role"],
  "store reset": ["yes", "force"],
};

const usage = (): string => `Operator Management Service: the control plane for SMPP links to mobile operators.

Usage: npm start                  serve until SIGINT or SIGTERM; a second signal stops at once
       npm start -- verify        check the whole history; exits 1 when something doesn't fit
                                  (embedded: of a stopped service; cluster: of the database, which may be in use)
       npm start -- migrate       bring the database of the cluster profile to this version's schema, as its owner,
                                  and grant the service its rights; --service-role NAME [ops_service]
       npm start -- store reset   give a restored copy of a database an identity of its own, so that nobody takes it
                                  for the original; --yes to do it, --force although sessions are open
       npm start -- --help        this page

Environment:
${configHelp()}
`;

/** Runs a command other than serving to its end; resolves with the exit code, or undefined when the service is to be started. @throws StartError, ConfigError */
export async function runCommand(env: Environment, print: (text: string) => void): Promise<number | undefined> {
  const { values, positionals } = parseCommandLine();
  if (values.help === true) {
    print(usage());
    return 0;
  }
  const command = positionals.join(" ") || "serve";
  const known = Object.hasOwn(COMMANDS, command) ? COMMANDS[command] : undefined;
  if (known === undefined) {
    const names = Object.keys(COMMANDS).filter((name) => name !== "serve");
    throw new StartError(`"${command}" is no command; there are ${names.join(", ")}, and --help tells more`);
  }
  const foreign = Object.keys(values).find((name) => !known.includes(name as keyof typeof options));
  if (foreign !== undefined) throw new StartError(`--${foreign} is no option of ${command}; --help tells more`);
  switch (command) {
    case "verify":
      return report(await verify(env), print);
    case "migrate":
      await migrateCommand({ ...ownerOf(env), serviceRole: values["service-role"], print });
      return 0;
    case "store reset":
      await storeResetCommand({ ...ownerOf(env), yes: values.yes === true, force: values.force === true, print });
      return 0;
    default:
      return undefined;
  }
}

function ownerOf(env: Environment): { databaseUrl: string; password: PasswordSource | undefined } {
  const { url, password } = parseDatabaseConfig(env).postgres;
  return { databaseUrl: url, password: password?.from === "file" ? passwordFromFile(password.path) : undefined };
}

async function verify(env: Environment): Promise<Verdict> {
  if (env.OPS_PROFILE === "cluster") return verifyDatabase(parseDatabaseConfig(env).postgres);
  const config = parseConfig(env);
  if (config.profile !== "embedded") throw new StartError("verify knows the profiles embedded and cluster");
  return verifyDataFolder(config);
}

function report({ text, valid }: Verdict, print: (text: string) => void): number {
  print(text);
  return valid ? 0 : 1;
}

function parseCommandLine() {
  try {
    return parseArgs({ options, allowPositionals: true });
  } catch (cause) {
    const wrong = process.argv.slice(2).find((argument) => argument.startsWith("-")) ?? "";
    throw new StartError(`${wrong} is no option. Settings are environment variables, e.g. OPS_PORT=4000 npm start`, {
      cause,
    });
  }
}
