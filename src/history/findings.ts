import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  VerifyHistoryResponse_ProblemSchema as ProblemSchema,
  type VerifyHistoryResponse_Problem as Problem,
} from "@operator-management/contract/ops/v1/operator_admin_pb.js";

const MOST = 100;

/** The first hundred problems of a verification; one cause can show in every row after it. */
export class Findings {
  readonly #problems: Problem[] = [];

  add(problem: MessageInitShape<typeof ProblemSchema>): void {
    if (this.#problems.length < MOST) this.#problems.push(create(ProblemSchema, problem));
  }

  list(): readonly Problem[] {
    return this.#problems;
  }
}
