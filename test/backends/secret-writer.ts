// Puts secrets into the store of the data folder named by the first argument until it is killed, and prints each one that was acknowledged.
import { EmbeddedSecretStore } from "../../src/backends/secrets/embedded-secret-store.ts";
import { newPath, newSecret } from "./new-secret.ts";

const store = await EmbeddedSecretStore.open(process.argv[2] ?? "");
const { signal } = new AbortController();
for (;;) {
  const [path, secret] = [newPath(), newSecret()];
  await store.put(path, secret, signal);
  process.stdout.write(`${JSON.stringify({ path, password: secret.password })}\n`);
}
