// Makes one call about credentials on the data folder given and dies by SIGKILL at the step given: what a crash does there.
import { openWorld, withMethods } from "./world.ts";

const [dataDir = "", step = "", method = "", call = "{}"] = process.argv.slice(2);

/** Dies at once when this is the step. */
function dieAt(here: string): void {
  if (here === step) process.kill(process.pid, "SIGKILL");
}

const world = await openWorld(dataDir, {
  secrets: (real) =>
    withMethods(real, {
      put: async (...args) => {
        dieAt("staged");
        await real.put(...args);
        dieAt("stored");
      },
    }),
  history: (real) => ({
    change: async (request, reply, decide) => {
      const result = await real.change(request, reply, async (snapshot) => {
        const decision = await decide(snapshot);
        return {
          ...decision,
          alsoWrite: async (tx, revision) => {
            await decision.alsoWrite?.(tx, revision);
            dieAt("activated");
          },
        };
      });
      dieAt("committed");
      return result;
    },
  }),
});
switch (method) {
  case "set":
    await world.admin.setConnectionCredential(argument());
    break;
  case "rotate":
    await world.admin.rotateConnectionCredential(argument());
    break;
  case "promote":
    await world.admin.promoteConnectionCredential(argument());
    break;
  case "cancel":
    await world.admin.cancelCredentialRotation(argument());
    break;
}
throw new Error(`it did not die at ${step}`);

function argument(): object {
  return JSON.parse(call) as object;
}
