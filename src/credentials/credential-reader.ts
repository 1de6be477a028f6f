import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { CredentialState } from "@operator-management/contract/ops/v1/credential_pb.js";
import type {
  ConnectionSecret,
  GetConnectionCredentialRequest,
} from "@operator-management/contract/ops/v1/operator_service_pb.js";
import type { Logger } from "pino";
import { SecretDamagedError, type SecretStore } from "../backends/secrets/secret-store.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { parseToken } from "../catalog/consistency.ts";
import { requireConnection, requireLiveOperator } from "../operators/require-operator.ts";
import { opsError } from "../rpc/errors.ts";
import type { SecretCache } from "./secret-cache.ts";
import { secretPath } from "./secret-path.ts";
import { typedSecretStoreError } from "./secret-store-error.ts";

/** What reading secrets needs. */
export interface CredentialReaderDeps {
  readonly catalog: Pick<Catalog, "get" | "waitFor">;
  readonly secrets: Pick<SecretStore, "get">;
  readonly cache: SecretCache;
  readonly logger: Pick<Logger, "error">;
}

/**
 * The secret of a credential that the catalog shows as the active or the pending one of a live operator's connection; the database is
 * not asked. `tokenPath` names the field that holds the minimum token.
 * @throws FIELD_INVALID, TOKEN_FOREIGN, CATALOG_BEHIND, OPERATOR_NOT_FOUND, CONNECTION_NOT_FOUND, CREDENTIAL_NOT_FOUND, VAULT_UNAVAILABLE
 */
export async function readCredential(
  deps: CredentialReaderDeps,
  request: GetConnectionCredentialRequest,
  tokenPath: string,
  signal: AbortSignal,
): Promise<ConnectionSecret> {
  if (request.minimumToken !== "") {
    await deps.catalog.waitFor(parseToken(request.minimumToken, tokenPath), signal);
  }
  const path = pathOfUsable(deps.catalog, request);
  const cached = deps.cache.get(request.credentialId);
  if (cached !== undefined) return cached;
  const secret = await fetchSecret(deps, path, signal);
  if (secret?.credentialId !== request.credentialId) throw notFound(request, "has no secret; set the credential again");
  deps.cache.set(request.credentialId, secret);
  return secret;
}

/** Where the secret is, if the caller may have it now: not that of a pending version which the vendor has refused. */
function pathOfUsable(catalog: Pick<Catalog, "get">, request: GetConnectionCredentialRequest): string {
  const { operatorId, connectionId, credentialId } = request;
  const operator = requireLiveOperator(catalog.get(operatorId)?.operator, operatorId);
  const { credential } = requireConnection(operator, connectionId);
  const pending = credential?.pending?.state === CredentialState.PENDING ? credential.pending.id : undefined;
  if (![credential?.active?.id, pending].includes(credentialId))
    throw notFound(request, "is not one that may be used now; ask for the current one");
  return secretPath({ operatorId, operatorUid: operator.uid, connectionId, credentialId });
}

async function fetchSecret(
  { secrets, logger }: CredentialReaderDeps,
  path: string,
  signal: AbortSignal,
): Promise<ConnectionSecret | undefined> {
  let secret: ConnectionSecret | undefined;
  try {
    secret = await secrets.get(path, signal);
  } catch (error) {
    if (!(error instanceof SecretDamagedError)) throw typedSecretStoreError(error);
    logger.error(
      { err: error },
      "a credential's secret is damaged: restore it from a backup or set the credential again",
    );
    return undefined;
  }
  if (secret === undefined) {
    logger.error({ path }, "a credential in use has no secret: restore it from a backup or set the credential again");
  }
  return secret;
}

function notFound({ operatorId, connectionId, credentialId }: GetConnectionCredentialRequest, why: string): Error {
  const name = `operators/${operatorId}/connections/${connectionId}/credentials/${credentialId}`;
  return opsError(ErrorReason.CREDENTIAL_NOT_FOUND, `credential ${credentialId} of connection ${connectionId} ${why}`, {
    metadata: { operator_id: operatorId, connection_id: connectionId, credential_id: credentialId },
    resource: { type: "ops.v1.CredentialVersion", name },
  });
}
