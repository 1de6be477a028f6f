import { BinaryReader } from "@bufbuild/protobuf/wire";
import { create, fromBinary } from "@bufbuild/protobuf";
import { EmptySchema } from "@bufbuild/protobuf/wkt";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { OperatorSchema } from "@operator-management/contract/ops/v1/operator_pb.js";
import {
  ListOperatorsRequestSchema,
  ListOperatorsResponseSchema,
  OperatorService,
} from "@operator-management/contract/ops/v1/operator_service_pb.js";

/** Everything that a pod serves, at one position. */
export interface ServedOperators {
  /** Of the first page. */
  readonly token: string;
  /** The encoded operators as they came off the wire, as hex, by id. */
  readonly bytes: ReadonlyMap<string, string>;
}

/** Nothing of the reply is known to it, so all of it is kept as it came. */
const untouched = { ...OperatorService.method.listOperators, output: EmptySchema };
const { operators, nextPageToken, token } = ListOperatorsResponseSchema.field;

/** Lists all operators of a pod, as fresh as the primary is, without decoding and encoding them again. */
export async function servedBytes(baseUrl: string): Promise<ServedOperators> {
  const transport = createGrpcTransport({ baseUrl, defaultTimeoutMs: 10_000 });
  const bytes = new Map<string, string>();
  let first = "";
  let pageToken = "";
  do {
    const consistency = { requirement: { case: "fullyConsistent", value: true } } as const;
    const request = create(ListOperatorsRequestSchema, {
      pageSize: 1_000,
      pageToken,
      ...(pageToken === "" && { consistency }),
    });
    const { message } = await transport.unary(untouched, undefined, undefined, undefined, request);
    pageToken = "";
    for (const { no, data } of message.$unknown ?? []) {
      const reader = new BinaryReader(data);
      if (no === operators.number) {
        const operator = reader.bytes();
        bytes.set(fromBinary(OperatorSchema, operator).id, Buffer.from(operator).toString("hex"));
      } else if (no === nextPageToken.number) pageToken = reader.string();
      else if (no === token.number) first ||= reader.string();
    }
  } while (pageToken !== "");
  return { token: first, bytes };
}
