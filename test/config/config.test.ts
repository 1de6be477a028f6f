import { resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { ConfigError, configHelp, parseConfig, parseDatabaseConfig } from "../../src/config.ts";

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
    ["OPS_PROFILE", "clutser", "is not one of embedded, cluster"],
    ["OPS_POSTGRES_URL", "postgres://a@b/c", "belongs to OPS_PROFILE=cluster, and this is embedded"],
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
    expect(configHelp().match(/^ {2}OPS_/gm)).toHaveLength(30);
    expect(configHelp()).toMatch(/OPS_PORT .*\[3020\]/);
  });

  describe("of the cluster profile", () => {
    const complete = {
      OPS_PROFILE: "cluster",
      OPS_MESH_IDENTITY: "local",
      OPS_LOCAL_TOKENS_FILE: "/tokens.json",
      OPS_POSTGRES_URL: "postgres://ops_service@db:5432/ops",
      OPS_POSTGRES_PASSWORD_VAULT: "ops/service/postgres",
      OPS_NATS_SERVERS: "nats-0:4222, nats-1:4222",
      OPS_VAULT_ADDR: "https://vault:8200/",
      OPS_VAULT_TOKEN_FILE: "/vault/token",
    };
    const problemsOf = (env: Record<string, string | undefined>): readonly string[] => {
      try {
        parseConfig({ ...complete, ...env });
        return [];
      } catch (error) {
        return (error as ConfigError).problems;
      }
    };

    it("needs its servers, an identity and admin tokens, and takes the rest as it comes", () => {
      expect(parseConfig(complete)).toEqual({
        profile: "cluster",
        host: "127.0.0.1",
        port: 3020,
        metricsPort: 9464,
        reflection: false,
        log: { level: "info", format: "json" },
        localTokensFile: "/tokens.json",
        postgres: {
          url: "postgres://ops_service@db:5432/ops",
          replicaUrl: undefined,
          password: { from: "vault", path: "ops/service/postgres" },
        },
        redis: { nodes: undefined, user: undefined, password: undefined },
        nats: {
          servers: ["nats-0:4222", "nats-1:4222"],
          user: undefined,
          password: undefined,
          streams: "ensure",
          replicas: 3,
        },
        vault: { addr: "https://vault:8200", mount: "secret", login: { tokenFile: "/vault/token" } },
      });
    });

    it("logs in to Vault as its ServiceAccount where there is no agent", () => {
      const config = parseConfig({ ...complete, OPS_VAULT_TOKEN_FILE: undefined, OPS_VAULT_ROLE: "ops" });
      expect(config).toMatchObject({
        vault: {
          login: {
            role: "ops",
            authMount: "kubernetes",
            jwtFile: "/var/run/secrets/kubernetes.io/serviceaccount/token",
          },
        },
      });
    });

    it("names everything that is missing at once", () => {
      const nothing = Object.fromEntries(Object.keys(complete).map((name) => [name, undefined]));
      expect(problemsOf({ ...nothing, OPS_PROFILE: "cluster" }).map((problem) => problem.split(":")[0])).toEqual([
        "OPS_MESH_IDENTITY",
        "OPS_LOCAL_TOKENS_FILE",
        "OPS_POSTGRES_URL",
        "OPS_NATS_SERVERS",
        "OPS_VAULT_TOKEN_FILE",
        "OPS_VAULT_ADDR",
      ]);
    });

    it.each([
      ["OPS_HOST", "0.0.0.0", "is not one of"],
      ["OPS_MESH_IDENTITY", "istio", '"istio" is not one of local'],
      ["OPS_POSTGRES_URL", "http://user:hunter2@db/ops", "is no URL of the form"],
      ["OPS_POSTGRES_URL", "postgres://:hunter2@db", "is no URL of the form"],
      ["OPS_POSTGRES_REPLICA_URL", "hunter2", "is no URL of the form"],
      ["OPS_POSTGRES_PASSWORD_FILE", "/x", "not both"],
      ["OPS_POSTGRES_PASSWORD_VAULT", "../x", "is no path in Vault"],
      ["OPS_REDIS_NODES", "redis://redis:6379", "must be host:port"],
      ["OPS_NATS_SERVERS", "nats://user:hunter2@nats:4222", "must be host:port"],
      ["OPS_NATS_REPLICAS", "2", "is not one of 1, 3, 5"],
      ["OPS_VAULT_ADDR", "https://user:hunter2@vault", "is no URL of the form"],
      ["OPS_VAULT_ROLE", "ops", "not both"],
      ["OPS_DATA_DIR", ".data", "belongs to OPS_PROFILE=embedded, and this is cluster"],
    ])("refuses %s=%s, and quotes no password", (name, value, problem) => {
      const problems = problemsOf({ [name]: value }).join("\n");
      expect(problems).toContain(problem);
      expect(problems).not.toContain("hunter2");
    });

    it("asks of the commands on a database only what they use", () => {
      const { OPS_POSTGRES_URL } = complete;
      expect(parseDatabaseConfig({ OPS_POSTGRES_URL }).postgres.url).toBe(OPS_POSTGRES_URL);
      expect(() => parseDatabaseConfig({})).toThrow("OPS_POSTGRES_URL: must be set");
    });
  });
});
