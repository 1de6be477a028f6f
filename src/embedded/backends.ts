import { join, relative } from "node:path";
import { Role } from "@operator-management/contract/ops/v1/annotations_pb.js";
import type { Logger } from "pino";
import type { Backends } from "../backends.ts";
import { InProcessBus } from "../backends/bus/in-process-bus.ts";
import { InProcessCache } from "../backends/cache/in-process-cache.ts";
import { EmbeddedSecretStore } from "../backends/secrets/embedded-secret-store.ts";
import { SecretKeyError } from "../backends/secrets/secret-key.ts";
import type { SecretStore } from "../backends/secrets/secret-store.ts";
import type { ClosingStack } from "../closing-stack.ts";
import type { EmbeddedConfig } from "../config.ts";
import type { OpenDatabase } from "../db/db.ts";
import { openEmbeddedDatabase } from "../db/embedded-database.ts";
import { NewerSchemaError } from "../db/migrate.ts";
import { readLocalTokens } from "../local-tokens.ts";
import { StartError } from "../start-error.ts";
import { openDataFolder, type DataFolder } from "./data-folder.ts";

/** Everything in this process, its files in the data folder. @throws StartError */
export async function openEmbeddedBackends(
  config: EmbeddedConfig,
  closing: ClosingStack,
  logger: Logger,
): Promise<Backends> {
  const folder = await openDataFolder(config.dataDir);
  closing.push("the data folder", () => folder.close());
  const generated = { principal: "local-admin", role: Role.ADMIN, token: folder.adminToken };
  const more = config.localTokensFile === undefined ? [] : await readLocalTokens(config.localTokensFile);
  const database = await openDatabase(folder, logger);
  closing.push("the database", () => database.close());
  const secrets = await openSecrets(folder);
  closing.push("the secret store", () => secrets.close());
  const bus = new InProcessBus({ logger });
  closing.push("the bus", () => bus.close());
  const cache = new InProcessCache();
  closing.push("the cache", () => cache.close());
  const fromHere = relative(process.cwd(), folder.adminTokenFile);
  return {
    database,
    secrets,
    bus,
    cache,
    busIsShared: false,
    adminTokens: [generated, ...more],
    printToken: `cat ${fromHere.startsWith("..") ? folder.adminTokenFile : fromHere}`,
  };
}

async function openSecrets(folder: DataFolder): Promise<SecretStore> {
  try {
    return await EmbeddedSecretStore.open(folder.path);
  } catch (error) {
    // Its text says what to do about the key.
    if (error instanceof SecretKeyError) throw new StartError(error.message, { cause: error });
    throw error;
  }
}

async function openDatabase(folder: DataFolder, logger: Logger): Promise<OpenDatabase> {
  const path = join(folder.path, "postgres");
  // The first start makes a database, which takes seconds: a person should know what is being waited for.
  logger.info({ path }, "opening the database (the first start creates it, which takes a few seconds)");
  try {
    return await openEmbeddedDatabase(path);
  } catch (cause) {
    if (cause instanceof NewerSchemaError) throw new StartError(cause.message, { cause });
    throw new StartError(
      `the database in ${path} can't be opened. If it is not worth keeping, move ${folder.path} away and start again`,
      { cause },
    );
  }
}
