import type { HealthView } from "@operator-management/client";

/** Every link is UNKNOWN, which leaves all of them routed, in order. */
export const nothingKnown: HealthView = { of: () => undefined };
