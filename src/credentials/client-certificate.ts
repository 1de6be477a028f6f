import { createPrivateKey, X509Certificate, type KeyObject } from "node:crypto";
import { timestampFromDate, type Timestamp } from "@bufbuild/protobuf/wkt";
import type { ClientCertificate } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { fieldInvalid } from "../rpc/errors.ts";

/** When the certificate expires. Says what is wrong without quoting any of it. @throws FIELD_INVALID */
export function certificateExpiry(certificate: ClientCertificate): Timestamp {
  const field = "client_certificate";
  let leaf: X509Certificate;
  let key: KeyObject;
  try {
    leaf = new X509Certificate(certificate.chainPem);
  } catch {
    throw fieldInvalid([{ field: `${field}.chain_pem`, description: "must be PEM certificates, the leaf first" }]);
  }
  try {
    key = createPrivateKey(certificate.keyPem);
  } catch {
    throw fieldInvalid([
      { field: `${field}.key_pem`, description: "must be a PEM private key (PKCS #8), unencrypted" },
    ]);
  }
  if (!leaf.checkPrivateKey(key)) {
    const description = "must be the private key of the first certificate in chain_pem";
    throw fieldInvalid([{ field: `${field}.key_pem`, description }]);
  }
  return timestampFromDate(leaf.validToDate);
}
