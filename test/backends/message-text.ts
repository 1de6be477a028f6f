import type { BusMessage } from "../../src/backends/bus/bus.ts";

/** Encodes what a test publishes. */
export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
/** What a test published. */
export const text = ({ data }: Pick<BusMessage, "data">): string => new TextDecoder().decode(data);
