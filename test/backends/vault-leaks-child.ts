// Does with Vault what can be done, and prints every error as a log would; its environment tries to lead node-vault elsewhere.
import { inspect } from "node:util";
import { openVault } from "../../src/backends/secrets/vault-open.ts";
import { VaultSecretStore } from "../../src/backends/secrets/vault-secret-store.ts";
import { newPath, newSecret } from "./new-secret.ts";

const [addr = "", tokenFile = "", password = ""] = process.argv.slice(2);
const { signal } = new AbortController();
const logger = { warn: (...args: unknown[]): void => console.log(inspect(args, { depth: 10, showHidden: true })) };
const store = new VaultSecretStore(openVault({ addr, mount: "secret", login: { tokenFile } }, logger));
const path = newPath();

await store.put(path, newSecret(password), signal);
if ((await store.get(path, signal))?.password !== password) throw new Error("it isn't what was put");
await store.put(path, newSecret(password), signal).catch((error: unknown) => logger.warn(error));
await store.put("other/path", newSecret(password), signal).catch((error: unknown) => logger.warn(error));
await store.destroy(path, signal);
console.log("done");
