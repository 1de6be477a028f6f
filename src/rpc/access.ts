import { getOption, hasOption, type DescMethod } from "@bufbuild/protobuf";
import { Health } from "@operator-management/contract/grpc/health/v1/health_pb.js";
import { ServerReflection } from "@operator-management/contract/grpc/reflection/v1/reflection_pb.js";
import { ServerReflection as ServerReflectionAlpha } from "@operator-management/contract/grpc/reflection/v1alpha/reflection_pb.js";
import { access, Role, RoleSchema, type Access } from "@operator-management/contract/ops/v1/annotations_pb.js";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { OperatorService } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import type { Caller } from "./caller.ts";
import { opsError } from "./errors.ts";

/** The only methods whose access rule is not in the contract, because the contract is not ours. */
const exceptions: ReadonlyMap<string, "anybody" | "any mesh caller"> = new Map([
  [Health.typeName, "anybody"],
  [ServerReflection.typeName, "any mesh caller"],
  [ServerReflectionAlpha.typeName, "any mesh caller"],
]);

/** True for services that need no identity at all: probes have none. */
export function isOpenToAll(serviceTypeName: string): boolean {
  return exceptions.get(serviceTypeName) === "anybody";
}

/** Every namespace that may call something over the mesh: the union of the contract's access rules. */
export const meshNamespaces: ReadonlySet<string> = new Set(
  OperatorService.methods.flatMap((method) => ruleOf(method)?.namespaces ?? []),
);

/**
 * Passes a caller who may call a method, by the contract's `(ops.v1.access)`. A method without a rule is denied to everybody.
 * @throws ROLE_MISSING, NAMESPACE_DENIED, IDENTITY_MISSING
 */
export function authorize(method: DescMethod, caller: Caller | undefined): void {
  const exception = exceptions.get(method.parent.typeName);
  if (exception === "anybody") return;
  if (caller === undefined) throw opsError(ErrorReason.IDENTITY_MISSING, "the call has no identity");
  if (exception === "any mesh caller" && caller.namespaces.size > 0) return;
  const rule = exception === undefined ? ruleOf(method) : undefined;
  if (rule !== undefined && allows(rule, caller)) return;
  throw denied(method, rule, caller);
}

/** True when one of a caller's roles or namespaces is in the rule. Every role implies viewer, admin implies all. */
export function allows(rule: Access, caller: Caller): boolean {
  if (rule.namespaces.some((namespace) => caller.namespaces.has(namespace))) return true;
  const granted = new Set<Role>([...caller.roles].filter((role) => role !== Role.UNSPECIFIED));
  if (granted.size === 0) return false;
  granted.add(Role.VIEWER);
  return rule.roles.some((role) => granted.has(role) || (role !== Role.UNSPECIFIED && granted.has(Role.ADMIN)));
}

function ruleOf(method: DescMethod): Access | undefined {
  return hasOption(method, access) ? getOption(method, access) : undefined;
}

function denied(method: DescMethod, rule: Access | undefined, caller: Caller): Error {
  if (caller.namespaces.size > 0 || rule === undefined) {
    const namespaces = [...caller.namespaces].sort().join(", ");
    return opsError(ErrorReason.NAMESPACE_DENIED, `${method.name} may not be called from ${namespaces || "here"}`, {
      metadata: { method: method.name, namespaces },
    });
  }
  const roles = rule.roles.map(roleName).join(" or ");
  return opsError(ErrorReason.ROLE_MISSING, `${method.name} needs the role ${roles}, which the token doesn't grant`, {
    metadata: { method: method.name, roles },
  });
}

/** A role as people write it: `credential-manager`. */
export function roleName(role: Role): string {
  const name = RoleSchema.value[role]?.name ?? String(role);
  return name
    .replace(/^ROLE_/, "")
    .toLowerCase()
    .replaceAll("_", "-");
}
