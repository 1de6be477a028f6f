/** What the bare server does, by path. `push` takes a four-byte number: how often to write to all open watches. */
export const BARE_PATHS = { unary: "/bare/Unary", watch: "/bare/Watch", push: "/bare/Push" } as const;
