import pg from "pg";

/** Where a password comes from: asked for every new connection, told to forget one that the server refused. */
export interface PasswordSource {
  get(): Promise<string>;
  forget(): void;
}

/** A server to connect to, as a URL names it. */
export interface ConnectionTarget {
  /** The setting that holds the URL, for messages to people. */
  readonly setting: string;
  /** Host and port, for messages to people. */
  readonly address: string;
  readonly config: pg.ClientConfig;
  /** Undefined: the URL's password is the only one. */
  readonly password: PasswordSource | undefined;
}

/** The URL is none that PostgreSQL's clients understand. Its text never holds the URL, which may hold a password. */
export class ConnectionUrlError extends Error {
  constructor(setting: string) {
    super(
      `${setting} is no URL of a database: postgres://user@host:5432/database, with parameters like ?sslmode=verify-full`,
    );
    this.name = "ConnectionUrlError";
  }
}

/**
 * How long the server itself waits before it believes that a silent client is gone, in seconds; else a pod that lost its network keeps its
 * advisory locks for hours.
 */
const SERVER_KEEPALIVE = "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3";

/**
 * Reads the URL as pg does, TLS parameters included; `password` takes the place of the URL's.
 * @throws ConnectionUrlError
 */
export function connectionTarget(setting: string, url: string, password: PasswordSource | undefined): ConnectionTarget {
  const parsed = parse(setting, url);
  const { host, port, user, database, ssl } = parsed;
  const urlPassword = parsed.password;
  return {
    setting,
    address: `${host}:${port}`,
    password,
    config: {
      host,
      port,
      user,
      database,
      ssl,
      // pg would let the URL's own, even an empty one, win over this; hence the URL itself isn't handed on.
      password: password === undefined ? (urlPassword ?? "") : () => password.get(),
      options: SERVER_KEEPALIVE,
      // The one TLS parameter that isn't part of pg's `ssl`.
      ...(new URL(url).searchParams.get("sslnegotiation") === "direct" && { sslnegotiation: "direct" }),
    },
  };
}

/** pg's own reader of URLs is a part of its client. Nothing is connected. */
function parse(setting: string, url: string): pg.Client {
  if (!/^postgres(ql)?:\/\//.test(url)) throw new ConnectionUrlError(setting);
  try {
    return new pg.Client({ connectionString: url });
  } catch (error) {
    // A certificate that can't be read is named; a URL that can't be parsed isn't.
    if ((error as NodeJS.ErrnoException).code === "ENOENT") throw error;
    throw new ConnectionUrlError(setting);
  }
}
