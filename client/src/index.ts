export { diffMessages, type DiffOptions } from "./field-diff.ts";
export { decodeToken, encodeToken, type Position } from "./token.ts";
