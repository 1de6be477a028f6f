import { opsReason, violations } from "@operator-management/client";
import { createAdminClient } from "@operator-management/client/node";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";

const admin = createAdminClient({
  baseUrl: process.env["OPS_URL"] ?? "http://127.0.0.1:3020",
  tokenFile: ".data/admin-token",
});
try {
  const { token } = await admin.createOperator({ operatorId: "acme", operator: { displayName: "Acme" } });
  console.log(`created at ${token}`);
} catch (error) {
  const fields = violations(error);
  if (opsReason(error) === ErrorReason.OPERATOR_EXISTS) console.log("there is one already");
  else if (fields.length > 0) for (const { field, description } of fields) console.log(`${field}: ${description}`);
  else throw error;
}
