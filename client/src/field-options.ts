import { getOption, type DescField, type DescMessage } from "@bufbuild/protobuf";
import { rebind } from "@operator-management/contract/ops/v1/annotations_pb.js";

/** A change of this field needs the connection's binds to be established anew. */
export const needsRebind: (field: DescField) => boolean = remembered((field) => getOption(field, rebind));

/** Secret: never printed, logged or diffed. */
export const isRedacted: (field: DescField) => boolean = remembered(
  (field) => field.proto.options?.debugRedact === true,
);

/** Whether the fields of this message say by themselves what a change of each costs. */
export const decidesByField: (message: DescMessage) => boolean = remembered((message) =>
  message.fields.some(needsRebind),
);

/** Whether a secret may stand anywhere inside this message. */
export const mayHoldSecrets: (message: DescMessage) => boolean = remembered((message) => reachesSecret(message, []));

function reachesSecret(message: DescMessage, above: readonly DescMessage[]): boolean {
  if (above.includes(message)) return false;
  return message.fields.some(
    (field) => isRedacted(field) || (field.message !== undefined && reachesSecret(field.message, [...above, message])),
  );
}

/** Descriptors never change, and reading an option decodes it, which costs thirty times the look-up. */
function remembered<D extends DescField | DescMessage>(read: (descriptor: D) => boolean): (descriptor: D) => boolean {
  const known = new WeakMap<D, boolean>();
  return (descriptor) => {
    let value = known.get(descriptor);
    if (value === undefined) {
      value = read(descriptor);
      known.set(descriptor, value);
    }
    return value;
  };
}
