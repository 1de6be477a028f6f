// Prints a file descriptor as proto2 source. Some packages ship a descriptor but no .proto file, and buf compiles only
// the latter. It covers what such files use, and throws on the rest instead of leaving it out.
import { isFieldSet } from "@bufbuild/protobuf";
import {
  Edition,
  FieldDescriptorProtoSchema,
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
} from "@bufbuild/protobuf/wkt";

/**
 * @typedef {import("@bufbuild/protobuf").DescFile} DescFile
 * @typedef {import("@bufbuild/protobuf").DescMessage} DescMessage
 * @typedef {import("@bufbuild/protobuf").DescEnum} DescEnum
 * @typedef {import("@bufbuild/protobuf").DescField} DescField
 * @typedef {import("@bufbuild/protobuf").DescExtension} DescExtension
 * @typedef {(field: DescField | DescExtension) => string[]} CustomOptions
 */

/**
 * @param {DescFile} file
 * @param {CustomOptions} customOptions what to print for a field's custom options
 * @returns {string} the file's source, without comments
 */
export function printProto(file, customOptions) {
  if (file.edition !== Edition.EDITION_PROTO2) throw new Error(`${file.name}: only proto2 is supported`);
  if (file.services.length > 0) throw new Error(`${file.name}: services are not supported`);
  return [
    'syntax = "proto2";',
    `package ${file.proto.package};`,
    ...file.proto.dependency.map((path) => `import "${path}";`),
    ...(file.proto.options?.goPackage ? [`option go_package = "${file.proto.options.goPackage}";`] : []),
    ...file.enums.flatMap(enumLines),
    ...file.messages.flatMap((message) => messageLines(message, customOptions)),
    ...file.extensions.flatMap((extension) => extensionLines(extension, customOptions)),
    "",
  ].join("\n");
}

/**
 * @param {DescMessage} message
 * @param {CustomOptions} customOptions
 * @returns {string[]}
 */
function messageLines(message, customOptions) {
  const { extensionRange, reservedRange, reservedName } = message.proto;
  return block(`message ${message.name}`, [
    ...message.nestedEnums.flatMap(enumLines),
    ...message.nestedMessages.flatMap((nested) => messageLines(nested, customOptions)),
    ...message.members.flatMap((member) =>
      member.kind === "oneof"
        ? block(
            `oneof ${member.name}`,
            member.fields.map((field) => fieldLine("", field, customOptions)),
          )
        : [fieldLine(label(member), member, customOptions)],
    ),
    ...extensionRange.map(({ start, end }) => `extensions ${range(start, end - 1)};`),
    ...reservedRange.map(({ start, end }) => `reserved ${range(start, end - 1)};`),
    ...reservedName.map((name) => `reserved "${name}";`),
    ...message.nestedExtensions.flatMap((extension) => extensionLines(extension, customOptions)),
  ]);
}

/**
 * @param {DescEnum} desc
 * @returns {string[]}
 */
function enumLines(desc) {
  return block(`enum ${desc.name}`, [
    ...(desc.proto.options?.allowAlias ? ["option allow_alias = true;"] : []),
    ...desc.values.map((value) => `${value.name} = ${value.number};`),
    ...desc.proto.reservedRange.map(({ start, end }) => `reserved ${range(start, end)};`),
    ...desc.proto.reservedName.map((name) => `reserved "${name}";`),
  ]);
}

/**
 * @param {DescExtension} extension
 * @param {CustomOptions} customOptions
 * @returns {string[]}
 */
function extensionLines(extension, customOptions) {
  return block(`extend .${extension.extendee.typeName}`, [fieldLine(label(extension), extension, customOptions)]);
}

/**
 * @param {string} prefix the label and a space, or nothing inside a oneof
 * @param {DescField | DescExtension} field
 * @param {CustomOptions} customOptions
 */
function fieldLine(prefix, field, customOptions) {
  const { proto } = field;
  if (proto.type === Type.GROUP || field.fieldKind === "map") throw new Error(`${field.toString()} is not supported`);
  const options = customOptions(field);
  if (isFieldSet(proto, FieldDescriptorProtoSchema.field.defaultValue)) {
    options.push(`default = ${proto.type === Type.STRING ? JSON.stringify(proto.defaultValue) : proto.defaultValue}`);
  }
  if (proto.options?.packed) options.push("packed = true");
  if (proto.options?.deprecated) options.push("deprecated = true");
  const type = proto.typeName || Type[proto.type].toLowerCase();
  return `${prefix}${type} ${proto.name} = ${proto.number}${options.length > 0 ? ` [${options.join(", ")}]` : ""};`;
}

/** @param {DescField | DescExtension} field */
function label({ proto }) {
  if (proto.label === Label.REPEATED) return "repeated ";
  return proto.label === Label.REQUIRED ? "required " : "optional ";
}

/**
 * @param {number} first
 * @param {number} last inclusive
 */
function range(first, last) {
  if (first === last) return `${first}`;
  return `${first} to ${last >= 536_870_911 ? "max" : last}`;
}

/**
 * @param {string} head
 * @param {string[]} lines
 */
function block(head, lines) {
  return [`${head} {`, ...lines.map((line) => `  ${line}`), "}"];
}
