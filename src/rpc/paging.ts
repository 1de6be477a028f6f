/** A reply ends before it would be larger, unless its first item alone is: gRPC clients take 4 MiB by default. */
export const MAX_REPLY_BYTES = 3 * 1024 * 1024;

const DEFAULT_PAGE_SIZE = 50;

/** How many items a page has: as many as asked for, and 0 asks for the default. The contract limits what may be asked for. */
export function pageSizeOf(asked: number): number {
  return asked === 0 ? DEFAULT_PAGE_SIZE : asked;
}
