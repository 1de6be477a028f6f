import type { Connection } from "@operator-management/contract/ops/v1/connection_pb.js";
import { RouteReason, SenderType, type RouteNeed } from "@operator-management/contract/ops/v1/route_pb.js";

/** What a link can carry. */
export interface Abilities {
  readonly alphanumeric: boolean;
  readonly shortCode: boolean;
  readonly international: boolean;
  readonly unicode: boolean;
  readonly receipts: boolean;
  readonly maxSegments: number;
}

const DEFAULT_MAX_SEGMENTS = 10;

export function abilitiesOf({ capabilities, addressing, encoding }: Connection): Abilities {
  return {
    alphanumeric: capabilities?.alphanumeric !== false && addressing?.alphanumeric?.allowed !== false,
    shortCode: addressing?.shortCode?.allowed !== false,
    international: addressing?.international?.allowed !== false,
    unicode: capabilities?.unicode !== false,
    receipts: capabilities?.receipts !== false,
    maxSegments: encoding?.maxSegments ?? DEFAULT_MAX_SEGMENTS,
  };
}

/** Whether a link with these abilities carries messages with this sender. One that this version doesn't know is carried by none. */
function carriesSender(abilities: Abilities, senderType: SenderType): boolean {
  switch (senderType) {
    case SenderType.UNSPECIFIED:
      return true;
    case SenderType.ALPHANUMERIC:
      return abilities.alphanumeric;
    case SenderType.SHORT_CODE:
      return abilities.shortCode;
    case SenderType.INTERNATIONAL:
      return abilities.international;
    default:
      return false;
  }
}

/** Why a link with these abilities can't carry the message, in the order of the reasons' numbers. */
export function lackingFor(abilities: Abilities, need: RouteNeed | undefined): RouteReason[] {
  if (need === undefined) return [];
  const reasons: RouteReason[] = [];
  if (!carriesSender(abilities, need.senderType)) reasons.push(RouteReason.CAPABILITY_SENDER);
  if (need.unicode && !abilities.unicode) reasons.push(RouteReason.CAPABILITY_UNICODE);
  if (need.receipts && !abilities.receipts) reasons.push(RouteReason.CAPABILITY_RECEIPTS);
  if (need.segments > abilities.maxSegments) reasons.push(RouteReason.CAPABILITY_SEGMENTS);
  return reasons;
}
