import { createHash } from "node:crypto";
import { toBinary } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import { ConnectionSchema, type Connection } from "@operator-management/contract/ops/v1/connection_pb.js";
import { ordered } from "./canonical.ts";
import { isBindSetting } from "./field-options.ts";

/**
 * The digest of what a connection's binds are made of: the first 16 bytes of SHA-256 over the fields that need a re-bind, as lower-case hex.
 * Within a message that marks fields of its own only these count, as in a diff.
 */
export function bindEtagOf(connection: Connection): string {
  const settings = ordered(reflect(ConnectionSchema, connection, false), isBindSetting);
  settings.setUnknown([]); // a newer version's field may be anything
  return createHash("sha256")
    .update(toBinary(ConnectionSchema, settings.message as Connection))
    .digest("hex")
    .slice(0, 32);
}
