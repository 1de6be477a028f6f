export type Role = "transmitter" | "receiver" | "transceiver";

/** The role that a bind command asks for; undefined for every other command. */
export function roleOf(command: string): Role | undefined {
  switch (command) {
    case "bind_transmitter":
      return "transmitter";
    case "bind_receiver":
      return "receiver";
    case "bind_transceiver":
      return "transceiver";
    default:
      return undefined;
  }
}
