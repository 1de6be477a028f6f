/** Which credential of which connection of which operator. */
export interface CredentialName {
  readonly operatorId: string;
  readonly operatorUid: string;
  readonly connectionId: string;
  readonly credentialId: string;
}

/**
 * Where a credential's secret is in the secret store. The uid keeps an operator that is created later under the same id from
 * inheriting anything.
 */
export function secretPath(name: CredentialName): string {
  return `ops/operators/${name.operatorId}/${name.operatorUid}/${name.connectionId}/${name.credentialId}`;
}
