import { readFileSync } from "node:fs";
import {
  createFileRegistry,
  type DescEnum,
  type DescMessage,
  fromBinary,
  getOption,
  hasOption,
} from "@bufbuild/protobuf";
import { nestedTypes } from "@bufbuild/protobuf/reflect";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { rebind } from "@operator-management/contract/ops/v1/annotations_pb.js";
import { describe, expect, it } from "vitest";

const descriptors = createFileRegistry(
  fromBinary(
    FileDescriptorSetSchema,
    readFileSync(new URL(import.meta.resolve("@operator-management/contract/descriptor.binpb"))),
  ),
);
const types = [...descriptors.files]
  .filter((file) => file.proto.package === "ops.v1")
  .flatMap((f) => [...nestedTypes(f)]);
const messages = types.filter((type): type is DescMessage => type.kind === "message");
const enums = types.filter((type): type is DescEnum => type.kind === "enum");

describe("the contract's descriptors", () => {
  it("hold the messages that everything rests on", () => {
    expect(messages.map((message) => message.name)).toEqual(
      expect.arrayContaining(["Operator", "Connection", "HealthReport", "HealthTransition", "ConfigChange"]),
    );
  });

  it.each(messages.map((message) => [message.typeName, message] as const))(
    "%s gives each field number once, and reserves none: nothing was deleted yet",
    (_, message) => {
      const numbers = message.fields.map((field) => field.number);
      expect(new Set(numbers).size).toBe(numbers.length);
      expect(message.proto.reservedRange).toEqual([]);
      expect(message.proto.reservedName).toEqual([]);
    },
  );

  it.each(enums.map((type) => [type.typeName, type] as const))("%s starts with an _UNSPECIFIED of 0", (_, type) => {
    expect(type.values[0]?.number).toBe(0);
    expect(type.values[0]?.name).toMatch(/_UNSPECIFIED$/);
    expect(type.proto.reservedRange).toEqual([]);
  });

  it("mark exactly the fields whose change needs a re-bind", () => {
    const marked = messages.flatMap((message) =>
      message.fields
        .filter((field) => hasOption(field, rebind) && getOption(field, rebind))
        .map((field) => `${message.name}.${field.name}`),
    );
    expect(marked.toSorted()).toEqual([
      "Connection.address_range",
      "Connection.bind_npi",
      "Connection.bind_ton",
      "Connection.endpoints",
      "Connection.interface_version",
      "Connection.local_address",
      "Connection.node_selector",
      "Connection.system_id",
      "Connection.system_type",
      "Endpoint.host",
      "Endpoint.port",
      "Endpoint.roles",
      "Endpoint.tls",
    ]);
  });
});
