import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { rootCertificates } from "node:tls";
import { text } from "node:stream/consumers";
import { join } from "node:path";
import { temporaryFolder } from "../cluster/temporary-folder.ts";
import type { Vault } from "../cluster/vault.ts";
import { SERVICE_POLICY } from "../cluster/vault.ts";

/** The one call of Kubernetes' API that Vault's login by ServiceAccount makes: is this token good (TokenReview)? */
export interface KubernetesStub extends AsyncDisposable {
  /** The pod's ServiceAccount token, as the kubelet projects it. */
  readonly jwtFile: string;
  /** The tokens that Vault asked about. */
  readonly reviewed: readonly string[];
  /** Puts a new token into the file; the old ones are good no longer. */
  replaceJwt(): Promise<string>;
}

const [NAMESPACE, ACCOUNT, AUDIENCE] = ["operators", "operator-management", "https://kubernetes.default.svc"];

/** A Kubernetes for a Vault, where the role `operator-management` of the login at `kubernetes` gets tokens with the service's policy. */
export async function kubernetesFor(vault: Vault, tokenTtl: string): Promise<KubernetesStub> {
  const folder = await temporaryFolder("kubernetes");
  const jwtFile = join(folder.path, "token");
  const uid = randomUUID();
  const reviewed: string[] = [];
  let good = "";

  const server = createServer((request, response) => {
    void (async () => {
      const { spec } = JSON.parse(await text(request)) as { spec: { token: string } };
      reviewed.push(spec.token);
      const status =
        spec.token === good
          ? {
              authenticated: true,
              audiences: [AUDIENCE],
              user: { username: `system:serviceaccount:${NAMESPACE}:${ACCOUNT}`, uid, groups: [] },
            }
          : { authenticated: false, error: "token has been invalidated" };
      response.writeHead(201, { "content-type": "application/json" });
      response.end(JSON.stringify({ apiVersion: "authentication.k8s.io/v1", kind: "TokenReview", status }));
    })();
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;

  // Why a login is refused stands nowhere else than in Vault's log.
  await vault.api.call("PUT", "sys/loggers", { level: "debug" });
  await vault.api.call("PUT", "sys/auth/kubernetes", { type: "kubernetes" });
  await vault.api.call("PUT", "auth/kubernetes/config", {
    kubernetes_host: `http://127.0.0.1:${port}`,
    kubernetes_ca_cert: rootCertificates[0], // Any: the stub speaks no TLS, but without one the pod's own is looked for.
    token_reviewer_jwt: newJwt(uid),
    disable_local_ca_jwt: true,
  });
  await vault.api.call("PUT", "auth/kubernetes/role/operator-management", {
    bound_service_account_names: [ACCOUNT],
    bound_service_account_namespaces: [NAMESPACE],
    token_policies: [SERVICE_POLICY],
    token_ttl: tokenTtl,
  });

  const replaceJwt = async (): Promise<string> => {
    good = newJwt(uid);
    await writeFile(jwtFile, good, { mode: 0o600 });
    return good;
  };
  await replaceJwt();
  return {
    jwtFile,
    reviewed,
    replaceJwt,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await folder.remove();
    },
  };
}

/** With the claims that Vault reads; the signature is Kubernetes' business, so any will do. */
function newJwt(uid: string): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const now = Math.floor(Date.now() / 1_000);
  const claims = {
    iss: AUDIENCE,
    sub: `system:serviceaccount:${NAMESPACE}:${ACCOUNT}`,
    aud: [AUDIENCE],
    jti: randomUUID(),
    iat: now,
    exp: now + 3_600,
    "kubernetes.io": { namespace: NAMESPACE, serviceaccount: { name: ACCOUNT, uid } },
  };
  return [part({ alg: "RS256", kid: "stub" }), part(claims), Buffer.from(randomUUID()).toString("base64url")].join(".");
}
