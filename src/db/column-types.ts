import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { customType } from "drizzle-orm/pg-core";
import { parseTimestamptz, printTimestamptz } from "./timestamptz-text.ts";

/**
 * `bytea` as Uint8Array, copied in both directions: what a driver returns is a view into a buffer that it shares or reuses (PGlite's
 * WebAssembly memory, a pool's socket buffer), and stored bytes live on in the catalog.
 */
export const bytea = customType<{ data: Uint8Array; driverData: Uint8Array }>({
  dataType: () => "bytea",
  toDriver: (value) => new Uint8Array(value),
  fromDriver: (value) => new Uint8Array(value),
});

/** `timestamptz(6)` as a protobuf Timestamp: a Date would lose the microseconds that commit times and their comparison need. */
export const timestamptz = customType<{ data: Timestamp; driverData: string }>({
  dataType: () => "timestamp (6) with time zone",
  toDriver: printTimestamptz,
  fromDriver: parseTimestamptz,
});
