/**
 * Vault didn't do what it was asked for. Its text is made of known phrases only: the errors of HTTP clients hold the token, and Vault's
 * own may repeat what they were sent. For the same reason it has no cause.
 */
export class VaultError extends Error {
  override readonly name = "VaultError";
  /** Of the answer; undefined when there was none. */
  readonly status: number | undefined;
  /** What Vault gave as reasons, as far as it may be repeated; empty when it gave none. */
  readonly reasons: readonly string[];

  constructor(text: string, answer?: { readonly status: number; readonly reasons: readonly string[] }) {
    super(text);
    this.status = answer?.status;
    this.reasons = answer?.reasons ?? [];
  }
}

/** The reason for a check-and-set that didn't hold. */
export const CAS_MISMATCH = "check-and-set parameter did not match";

/** Phrases of Vault's that hold nothing of a request. */
const KNOWN_REASONS = [
  CAS_MISMATCH,
  "permission denied",
  "Vault is sealed",
  "no handler for route",
  "invalid role name",
  "invalid audience",
  "service account name not authorized",
  "namespace not authorized",
  "token is expired",
  "lookup failed",
];

const WITHHELD = "a reason that is not repeated here";
const FOREIGN = "not in the way of Vault";

/** An answer of Vault's other than a good one, as an error. */
export function refusal(status: number, body: unknown): VaultError {
  const reasons = reasonsOf(body);
  return new VaultError(`answered ${status}${reasons.length > 0 ? ` (${reasons.join(", ")})` : ""}`, {
    status,
    reasons,
  });
}

/** What is thrown while Vault is asked, as an error that may be logged. Of anything but a VaultError only its code is kept. */
export function withoutSecrets(thrown: unknown): VaultError {
  if (thrown instanceof VaultError) return thrown;
  if (thrown instanceof DOMException && thrown.name === "TimeoutError") return new VaultError("no answer in time");
  if (thrown instanceof DOMException && thrown.name === "AbortError") return new VaultError("given up");
  return new VaultError(`no answer (${codeOf(thrown) ?? "the request could not be sent"})`);
}

function reasonsOf(body: unknown): readonly string[] {
  // Something between us and Vault, whose 404 mustn't pass for a secret that is not there.
  if (typeof body !== "object" || body === null) return [FOREIGN];
  if (!("errors" in body)) return [];
  const texts = Array.isArray(body.errors) ? body.errors.map(String) : [String(body.errors)];
  if (texts.length === 0) return [];
  const known = KNOWN_REASONS.filter((phrase) => texts.some((text) => text.includes(phrase)));
  return known.length > 0 ? known : [WITHHELD];
}

/** The code of an error of the network, such as ECONNREFUSED or CERT_HAS_EXPIRED; fetch has it in the cause. */
function codeOf(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error)) return undefined;
  if ("code" in thrown && typeof thrown.code === "string" && /^[A-Z][A-Z0-9_]*$/.test(thrown.code)) return thrown.code;
  return codeOf(thrown.cause);
}
