/** A message as gRPC sends it: no compression, its length, its bytes. */
export function frameOf(message: Uint8Array): Buffer {
  const frame = Buffer.alloc(5 + message.length);
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, 5);
  return frame;
}

/** Tells the lengths of the messages in a stream as its bytes come in. Keeps no bytes: reading must cost next to nothing. */
export function frameLengths(onMessage: (length: number) => void): (part: Buffer) => void {
  const prefix = Buffer.alloc(5);
  let have = 0;
  let left = 0;
  return (part) => {
    let at = 0;
    while (at < part.length) {
      if (left > 0) {
        const taken = Math.min(left, part.length - at);
        left -= taken;
        at += taken;
        if (left === 0) onMessage(prefix.readUInt32BE(1));
        continue;
      }
      prefix[have++] = part[at++] ?? 0;
      if (have < prefix.length) continue;
      have = 0;
      left = prefix.readUInt32BE(1);
      if (left === 0) onMessage(0);
    }
  };
}
