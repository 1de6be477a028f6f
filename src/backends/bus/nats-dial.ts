import { createConnection } from "node:net";
import { connect, DebugEvents, type NatsConnection, type Status } from "nats";

/** Milliseconds until a server must have let us in. */
const DIAL_DEADLINE_MS = 5_000;
/** A server that fell silent is noticed after three of these. */
const PING_INTERVAL_MS = 3_000;

/** One server, and who we are there. */
export interface NatsDial {
  /** host:port */
  readonly server: string;
  readonly user: string | undefined;
  readonly password: string;
}

/**
 * One connection to one server, which ends with it: whoever dials dials again, with the password of that moment. (The client's own
 * reconnecting knows only passwords that are at hand at once, and sends later what was given up meanwhile.)
 */
export async function dialNats({ server, user, password }: NatsDial): Promise<NatsConnection> {
  await greeting(server);
  const connection = await connect({
    servers: [server],
    name: "operator-management",
    ...(user === undefined ? {} : { user, pass: password }),
    reconnect: false,
    ignoreClusterUpdates: true,
    timeout: DIAL_DEADLINE_MS,
    pingInterval: PING_INTERVAL_MS,
    maxPingOut: 2,
    noAsyncTraces: true,
  });
  void closeWhenSilent(connection);
  return connection;
}

/**
 * Waits for a server's first words on a socket of our own: the client forgets a socket on which they never come, so that a server
 * that takes connections but is frozen would cost one socket per try.
 */
async function greeting(server: string): Promise<void> {
  const { hostname, port } = new URL(`nats://${server}`);
  const socket = createConnection(Number(port), hostname.replace(/^\[|\]$/g, ""));
  const deadline = setTimeout(
    () => socket.destroy(new Error(`${server} takes connections but says nothing`)),
    DIAL_DEADLINE_MS,
  );
  const heard = Promise.withResolvers<void>();
  socket.once("data", () => heard.resolve());
  socket.on("error", heard.reject);
  // What stands before a server that is away may take the connection and end it in good order.
  socket.once("close", () => heard.reject(new Error(`${server} ended the connection without a word`)));
  try {
    await heard.promise;
  } finally {
    clearTimeout(deadline);
    socket.destroy();
  }
}

/** The client's own way to leave a silent server first waits until what it wrote has been taken, which may never be. */
async function closeWhenSilent(connection: NatsConnection): Promise<void> {
  const silent: Status["type"] = DebugEvents.StaleConnection;
  for await (const { type } of connection.status()) {
    if (type === silent) await connection.close();
  }
}
