// Fills third_party/proto with the .proto files that ours import or that the service serves, taken from the npm packages
// the lock file pins. The folder is not in git: what stands in the repository is written here.
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { getOption, hasOption } from "@bufbuild/protobuf";
import {
  file_buf_validate_validate as validate,
  predefined,
} from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { printProto } from "./print-proto.mjs";

const target = join(import.meta.dirname, "../third_party/proto");
const modules = join(import.meta.dirname, "../node_modules");

/** Path below third_party/proto → path of its source below node_modules. */
const copies = {
  "google/api/field_behavior.proto": "google-gax/build/protos/google/api/field_behavior.proto",
  "google/rpc/code.proto": "google-gax/build/protos/google/rpc/code.proto",
  "google/rpc/error_details.proto": "google-gax/build/protos/google/rpc/error_details.proto",
  "google/rpc/status.proto": "google-gax/build/protos/google/rpc/status.proto",
  "grpc/health/v1/health.proto": "grpc-health-check/proto/health/v1/health.proto",
  "grpc/reflection/v1/reflection.proto": "@grpc/reflection/build/proto/grpc/reflection/v1/reflection.proto",
  "grpc/reflection/v1alpha/reflection.proto": "@grpc/reflection/build/proto/grpc/reflection/v1alpha/reflection.proto",
};

rmSync(target, { recursive: true, force: true });
for (const [path, source] of Object.entries(copies)) {
  mkdirSync(dirname(join(target, path)), { recursive: true });
  cpSync(join(modules, source), join(target, path));
}
mkdirSync(join(target, "buf/validate"), { recursive: true });
writeFileSync(join(target, "buf/validate/validate.proto"), validateProto());

/** Protovalidate's schema with the CEL of its standard rules, which validators in other languages evaluate. */
function validateProto() {
  const manifest = readFileSync(join(modules, "@bufbuild/protovalidate/package.json"), "utf8");
  const { version } = /** @type {{ version: string }} */ (JSON.parse(manifest));
  const source = printProto(validate, (field) =>
    hasOption(field, predefined) ? getOption(field, predefined).cel.map(celOption) : [],
  );
  return `// Printed from the descriptor in @bufbuild/protovalidate ${version} (Apache-2.0, Buf Technologies, Inc.).\n${source}`;
}

/** @param {import("@bufbuild/protovalidate/gen/buf/validate/validate_pb.js").Rule} rule */
function celOption({ id, message, expression }) {
  const set = Object.entries({ id, message, expression }).filter(([, value]) => value !== "");
  return `(predefined).cel = { ${set.map(([name, value]) => `${name}: ${JSON.stringify(value)}`).join(", ")} }`;
}
