/** The connection that passwords are for. */
export const AT = { operatorId: "acme", connectionId: "main" };

/**
 * Where a person might put a password by mistake: method and body. Each call must fail or keep it secret.
 * @param short of at most eight characters, the first of which begins nothing in JSON: the engine's error quotes so much of a body
 */
export function mistakes(password: () => string, short: string): [string, object | string][] {
  const set = (more: object): object => ({ ...AT, systemId: "acme01", ...more });
  const connection = { credential: { active: { id: password(), password: password() } } };
  return [
    ["SetConnectionCredential", set({ password: password(), validateOnly: true })],
    ["SetConnectionCredential", set({ password: [password()] })],
    ["SetConnectionCredential", set({ password: { value: password() } })],
    ["SetConnectionCredential", set({ password: `${password()}\u0000` })],
    ["SetConnectionCredential", set({ password: password().repeat(200) })],
    ["SetConnectionCredential", set({ password: password(), requestId: "no-uuid" })],
    ["SetConnectionCredential", set({ password: password(), unknownField: true })],
    ["SetConnectionCredential", set({ passwort: password() })],
    ["SetConnectionCredential", set({ operatorId: "nobody", password: password() })],
    ["SetConnectionCredential", set({ connectionId: "nowhere", password: password() })],
    ["SetConnectionCredential", set({ clientCertificate: { chainPem: password(), keyPem: password() } })],
    ["SetConnectionCredential", JSON.stringify(set({ password: password() })).slice(0, -1)],
    ["SetConnectionCredential", `{"password":${short}}`],
    ["CreateOperator", { operatorId: "wrong", operator: { connections: { main: { password: password() } } } }],
    ["UpdateOperator", { operatorId: "acme", operator: { connections: { main: connection } } }],
    ["ListOperators", { filter: `password = "${password()}"` }],
    ["ChangeAdminState", { operatorId: "acme", target: password() }],
    ["NoSuchMethod", { password: password() }],
  ];
}
