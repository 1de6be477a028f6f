import { fromBinary, type DescMessage, type MessageShape } from "@bufbuild/protobuf";

/** The message in stored bytes; undefined when they are damaged, which a verification reports and goes on. */
export function decodeRecord<D extends DescMessage>(schema: D, bytes: Uint8Array): MessageShape<D> | undefined {
  try {
    return fromBinary(schema, bytes);
  } catch {
    return undefined;
  }
}
