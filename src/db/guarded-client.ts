import { Socket } from "node:net";
import type pg from "pg";

/** What pg says of an open connection; it offers no list of them, nor a way to cut one that doesn't answer. */
export type GuardedClient = pg.Client;

/**
 * Makes a new connection one that can't hang: when the server owes an answer and has said nothing for so long, the connection is destroyed,
 * so that every query on it fails at once, ROLLBACK too, and no pool takes it back. pg's own query_timeout gives up the query but
 * keeps the connection, with the old answer still to come. A long answer that keeps coming is no silence.
 */
export function guard(client: GuardedClient, silenceMs: number): void {
  // A connection may also break while nobody waits for an answer; unheard, that would end the process. The next query on it says so.
  client.on("error", () => undefined);
  let owed = 0;
  const { stream } = client.connection;
  if (!(stream instanceof Socket)) throw new Error("pg's connection is no socket");
  stream.setTimeout(silenceMs);
  // Not as setTimeout's own listener, which hears it once only: also a connection that nobody used for so long falls silent.
  stream.on("timeout", () => {
    if (owed > 0) cut(client, `the database said nothing for ${silenceMs} ms`);
  });
  const query = client.query.bind(client) as (...args: readonly unknown[]) => Promise<unknown>;
  const guarded = async (...args: readonly unknown[]): Promise<unknown> => {
    owed++;
    try {
      return await query(...args);
    } finally {
      owed--;
    }
  };
  client.query = guarded as typeof client.query; // it has an overload for each way to call it; ours is a promise's
}

/** Ends the connection without waiting for the server; its running query fails with the reason. */
export function cut(client: GuardedClient, reason: string): void {
  client.connection.stream.destroy(new CutError(reason));
}

/** We ended the connection. */
export class CutError extends Error {
  constructor(reason: string) {
    super(reason);
    this.name = "CutError";
  }
}
