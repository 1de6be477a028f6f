import {
  createRegistry,
  toBinary,
  type DescExtension,
  type DescFile,
  type DescService,
  type Registry,
} from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code, type ServiceImpl } from "@connectrpc/connect";
import { ServerReflection } from "@operator-management/contract/grpc/reflection/v1/reflection_pb.js";
import { ServerReflection as ServerReflectionAlpha } from "@operator-management/contract/grpc/reflection/v1alpha/reflection_pb.js";

/** What a client asks; the same in both versions of the protocol. */
type Question =
  | { case: "fileByFilename" | "fileContainingSymbol" | "allExtensionNumbersOfType" | "listServices"; value: string }
  | { case: "fileContainingExtension"; value: { containingType: string; extensionNumber: number } }
  | { case: undefined; value?: undefined };

/** What it is told; the same in both versions. */
type Answer =
  | { case: "fileDescriptorResponse"; value: { fileDescriptorProto: Uint8Array[] } }
  | { case: "listServicesResponse"; value: { service: { name: string }[] } }
  | { case: "allExtensionNumbersResponse"; value: { baseTypeName: string; extensionNumber: number[] } }
  | { case: "errorResponse"; value: { errorCode: number; errorMessage: string } };

/** The handlers of gRPC reflection for these services, in the versions that tools ask for. */
export function reflectionHandlers(services: readonly DescService[]): {
  v1: ServiceImpl<typeof ServerReflection>;
  v1alpha: ServiceImpl<typeof ServerReflectionAlpha>;
} {
  const index = new ReflectionIndex([...services, ServerReflection, ServerReflectionAlpha]);
  async function* answers<R extends { host: string; messageRequest: Question }>(
    requests: AsyncIterable<R>,
  ): AsyncIterable<{ validHost: string; originalRequest: R; messageResponse: Answer }> {
    for await (const request of requests) {
      yield {
        validHost: request.host,
        originalRequest: request,
        messageResponse: index.answer(request.messageRequest),
      };
    }
  }
  return { v1: { serverReflectionInfo: answers }, v1alpha: { serverReflectionInfo: answers } };
}

class ReflectionIndex {
  readonly #services: readonly DescService[];
  readonly #files = new Map<string, DescFile>();
  readonly #registry: Registry;
  readonly #extensions: readonly DescExtension[];

  constructor(services: readonly DescService[]) {
    this.#services = services;
    for (const service of services) this.#addFile(service.file);
    this.#registry = createRegistry(...this.#files.values());
    this.#extensions = [...this.#registry].filter((type) => type.kind === "extension");
  }

  answer(question: Question): Answer {
    switch (question.case) {
      case "listServices":
        return {
          case: "listServicesResponse",
          value: { service: this.#services.map(({ typeName }) => ({ name: typeName })) },
        };
      case "fileByFilename":
        // The descriptors' own names lack the extension that file names have.
        return this.#file(this.#files.get(question.value.replace(/\.proto$/, "")), question.value);
      case "fileContainingSymbol":
        return this.#file(this.#fileOfSymbol(question.value), question.value);
      case "fileContainingExtension": {
        const { containingType, extensionNumber } = question.value;
        const extension = this.#extensionsOf(containingType).find(({ number }) => number === extensionNumber);
        return this.#file(extension?.file, `extension ${extensionNumber} of ${containingType}`);
      }
      case "allExtensionNumbersOfType": {
        if (this.#registry.getMessage(question.value) === undefined) return notFound(question.value);
        const extensionNumber = this.#extensionsOf(question.value).map(({ number }) => number);
        return { case: "allExtensionNumbersResponse", value: { baseTypeName: question.value, extensionNumber } };
      }
      case undefined:
        return {
          case: "errorResponse",
          value: { errorCode: Code.InvalidArgument, errorMessage: "the request asks nothing" },
        };
      default:
        return question satisfies never;
    }
  }

  #addFile(file: DescFile): void {
    if (this.#files.has(file.name)) return;
    this.#files.set(file.name, file);
    for (const dependency of file.dependencies) this.#addFile(dependency);
  }

  #extensionsOf(typeName: string): DescExtension[] {
    return this.#extensions.filter(({ extendee }) => extendee.typeName === typeName);
  }

  /** A symbol may be a field, a method or a value: then it is in the file of what holds it. */
  #fileOfSymbol(symbol: string): DescFile | undefined {
    for (let name = symbol; name !== ""; name = name.slice(0, Math.max(0, name.lastIndexOf(".")))) {
      const type = this.#registry.get(name);
      if (type !== undefined) return type.file;
    }
    return undefined;
  }

  /** A file with everything it imports, so that a client needs no second question. */
  #file(file: DescFile | undefined, asked: string): Answer {
    if (file === undefined) return notFound(asked);
    const closure = new Set<DescFile>();
    const add = (next: DescFile): void => {
      if (closure.has(next)) return;
      closure.add(next);
      next.dependencies.forEach(add);
    };
    add(file);
    const fileDescriptorProto = [...closure].map(({ proto }) => toBinary(FileDescriptorProtoSchema, proto));
    return { case: "fileDescriptorResponse", value: { fileDescriptorProto } };
  }
}

function notFound(asked: string): Answer {
  return { case: "errorResponse", value: { errorCode: Code.NotFound, errorMessage: `${asked} is not known here` } };
}
