// Writes one revision after the other and prints each acknowledged one; started as a process of its own, to be killed.
import { decodeToken } from "@operator-management/client";
import { openEmbeddedDatabase } from "../../src/db/embedded-database.ts";
import { History } from "../../src/history/commit.ts";
import { commit, created, operatorWith } from "./store.ts";

const [, , folder = "", run = ""] = process.argv;
const database = await openEmbeddedDatabase(folder);
const history = new History({ db: database.db, onCommit: () => undefined });
for (let i = 0; ; i++) {
  const id = `run-${run}-${i}`;
  const { token } = await commit(history, [created(operatorWith({ id }))]);
  process.stdout.write(`${id} ${decodeToken(token)?.revision}\n`);
}
