export { decodeToken, encodeToken, type Position } from "./token.ts";
