export const idFormats = ["hex", "HEX", "decimal"] as const;
export type IdFormat = (typeof idFormats)[number];

/** Message ids are numbered from here, so that no id reads the same in both bases. */
export const FIRST_MESSAGE = 1_000_000_000;

/** The id of the message with this number: 8 hexadecimal digits, or 10 decimal ones. */
export function messageId(number: number, format: IdFormat): string {
  switch (format) {
    case "hex":
      return number.toString(16).padStart(8, "0");
    case "HEX":
      return number.toString(16).toUpperCase().padStart(8, "0");
    case "decimal":
      return String(number).padStart(10, "0");
    default:
      return format satisfies never;
  }
}
