import type { ConnectionTarget } from "./connection-target.ts";

/** No connection could be had, so nothing was asked of the database. Its text holds neither the URL nor a password. */
export class ConnectionError extends Error {
  /** What a person has to mend; undefined for what may pass by itself. */
  readonly fault: string | undefined;

  constructor({ setting, address }: Pick<ConnectionTarget, "setting" | "address">, cause: unknown) {
    const fault = faultOf(setting, cause);
    super(`no connection to the database at ${address}: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
    this.name = "ConnectionError";
    this.fault = fault;
  }
}

/** The server is up and is a standby, where the primary was expected. */
export class StandbyError extends Error {
  constructor() {
    super("it is a standby, not the primary");
    this.name = "StandbyError";
  }
}

/** Which setting is at fault, when waiting doesn't help. */
function faultOf(setting: string, cause: unknown): string | undefined {
  if (!(cause instanceof Error)) return undefined;
  const code = "code" in cause && typeof cause.code === "string" ? cause.code : "";
  const passwordSettings = `the password in ${setting}, OPS_POSTGRES_PASSWORD_FILE or OPS_POSTGRES_PASSWORD_VAULT`;
  if (code === "28P01") return `PostgreSQL refuses ${passwordSettings}`;
  if (code.startsWith("28")) return `PostgreSQL refuses the role in ${setting}, or the way it logs in (pg_hba.conf)`;
  if (code === "3D000") return `the database that ${setting} names doesn't exist`;
  if (code === "42501") return `the role in ${setting} may not connect to that database`;
  if (/^The server does not support SSL/.test(cause.message))
    return `${setting} asks for TLS, which the server doesn't offer`;
  if (/CERT|SIGNATURE|^ERR_(SSL|TLS)/.test(code))
    return `the server's certificate doesn't fit sslmode or sslrootcert in ${setting}`;
  return undefined;
}
