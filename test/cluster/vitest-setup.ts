import { beforeEach } from "vitest";
import { forgetEndedServers, recentLogs } from "./recent-logs.ts";

beforeEach(({ onTestFailed }) => {
  forgetEndedServers();
  onTestFailed(() => {
    const logs = recentLogs();
    if (logs !== "") console.error(logs);
  });
});
