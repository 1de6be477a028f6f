/** Freezes a message and all it holds: it is shared by every call that reads it. Byte arrays can't be frozen and stay as they are. */
export function deepFreeze<T extends object>(value: T): T {
  Object.freeze(value);
  for (const part of Object.values(value) as unknown[]) {
    if (typeof part === "object" && part !== null && !ArrayBuffer.isView(part)) deepFreeze(part);
  }
  return value;
}
