import type { Role } from "./role.ts";

export interface BindLimits {
  readonly maxBinds: number;
  readonly perRole?: { readonly [role in Role]?: number };
}

/** Whether one more bind in this role fits beside those `taken`, dead ones that keep their place included. */
export function hasRoom({ maxBinds, perRole }: BindLimits, taken: readonly Role[], role: Role): boolean {
  const ofRole = taken.filter((each) => each === role).length;
  return taken.length < maxBinds && ofRole < (perRole?.[role] ?? Infinity);
}
