import { resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { ConfigError, configHelp, parseConfig } from "../../src/config.ts";

describe("the configuration", () => {
  it("has a default for everything", () => {
    expect(parseConfig({})).toEqual({
      profile: "embedded",
      host: "127.0.0.1",
      port: 3020,
      metricsPort: 9464,
      dataDir: resolve(".data"),
      reflection: true,
      localTokensFile: undefined,
      log: { level: "info", format: "pretty" },
    });
  });

  it("takes every setting from the environment", () => {
    const config = parseConfig({
      OPS_PROFILE: "embedded",
      OPS_HOST: "::1",
      OPS_PORT: "0",
      OPS_METRICS_PORT: "0",
      OPS_DATA_DIR: "/tmp/x",
      OPS_REFLECTION: "off",
      OPS_LOCAL_TOKENS_FILE: "/tmp/tokens.json",
      OPS_LOG_LEVEL: "debug",
      OPS_LOG_FORMAT: "json",
    });
    expect(config).toEqual({
      profile: "embedded",
      host: "::1",
      port: 0,
      metricsPort: 0,
      dataDir: "/tmp/x",
      reflection: false,
      localTokensFile: "/tmp/tokens.json",
      log: { level: "debug", format: "json" },
    });
  });

  it.each([
    ["OPS_PROFILE", "cluster", "is no profile of this version"],
    ["OPS_HOST", "0.0.0.0", "is not one of 127.0.0.1, ::1, localhost"],
    ["OPS_PORT", "65536", "is not a port from 0 to 65535"],
    ["OPS_PORT", "-1", "is not a port from 0 to 65535"],
    ["OPS_PORT", "3e3", "is not a port from 0 to 65535"],
    ["OPS_METRICS_PORT", "3020", "is OPS_PORT already"],
    ["OPS_DATA_DIR", "a\0b", "has a NUL character"],
    ["OPS_REFLECTION", "yes", "is not one of on, off"],
    ["OPS_LOG_LEVEL", "loud", "is not one of silent, fatal"],
    ["OPS_LOG_FORMAT", "xml", "is not one of pretty, json"],
    ["OPS_PROT", "3020", "no such setting in this version"],
  ])("refuses %s=%s and says why", (name, value, problem) => {
    expect(() => parseConfig({ [name]: value })).toThrow(`${name}: `);
    expect(() => parseConfig({ [name]: value })).toThrow(problem);
  });

  it("names all problems at once", () => {
    const parse = (): unknown => parseConfig({ OPS_PORT: "x", OPS_LOG_LEVEL: "y", OPS_TYPO: "z" });
    expect(parse).toThrow(ConfigError);
    try {
      parse();
    } catch (error) {
      expect((error as ConfigError).problems.map((problem) => problem.split(":")[0])).toEqual([
        "OPS_PORT",
        "OPS_LOG_LEVEL",
        "OPS_TYPO",
      ]);
    }
  });

  it("leaves the variables of clients alone", () => {
    expect(() => parseConfig({ OPS_URL: "http://127.0.0.1:3020", OPS_NODE: "a" })).not.toThrow();
  });

  it("is listed in the help, each setting with its default", () => {
    expect(configHelp().split("\n")).toHaveLength(9);
    expect(configHelp()).toMatch(/OPS_PORT .*\[3020\]/);
  });
});
