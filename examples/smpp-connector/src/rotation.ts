import { candidates } from "@operator-management/client";
import type { Connection } from "@operator-management/contract/ops/v1/connection_pb.js";

/** Live sessions that were made with another credential than this one are to be made anew. */
export interface CredentialTurn {
  readonly credentialId: string;
  /** One of them, to prove the credential, unless one is bound with it already; or all, one after the other. */
  readonly which: "ONE" | "ALL";
}

/**
 * Whether live sessions of a connection are to take another credential now; undefined: they stay. `mayTry` says whether a login with it may
 * be tried, and its password is at hand: a session must not be given up for one that can't be made.
 */
export function credentialTurn(
  connection: Connection,
  now: Date,
  mayTry: (credentialId: string) => boolean,
): CredentialTurn | undefined {
  const { order, rebind } = candidates(connection.credential, now);
  const [first] = order;
  if (first === undefined || rebind === "NONE" || !mayTry(first.id)) return undefined;
  return { credentialId: first.id, which: rebind };
}
