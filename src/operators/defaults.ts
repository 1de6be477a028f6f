import { clone, create, type DescMessage, type Message, type MessageInitShape } from "@bufbuild/protobuf";
import { isReflectMessage, reflect, type ReflectMessage } from "@bufbuild/protobuf/reflect";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { ConnectionSchema } from "@operator-management/contract/ops/v1/connection_pb.js";
import { CapabilitiesSchema } from "@operator-management/contract/ops/v1/coverage_pb.js";
import {
  BindRole,
  EndpointPolicy,
  EndpointSchema,
  TlsMode,
  TlsSchema,
  TlsVerify,
  TlsVersion,
} from "@operator-management/contract/ops/v1/endpoint_pb.js";
import { HealthPolicySchema } from "@operator-management/contract/ops/v1/health_policy_pb.js";
import { MaintenanceWindowSchema } from "@operator-management/contract/ops/v1/maintenance_pb.js";
import { OperatorKind, OperatorSchema, type Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import {
  MessageIdFormat,
  ReceiptDetection,
  ReceiptIdSource,
  ReceiptsSchema,
} from "@operator-management/contract/ops/v1/receipts_pb.js";
import {
  BindLimitScope,
  BindSchema,
  InterfaceVersion,
  ReconnectSchema,
  ResponseTimeoutAction,
  ThrottleSchema,
  ThroughputSchema,
  ThroughputScope,
  TimersSchema,
} from "@operator-management/contract/ops/v1/session_pb.js";
import {
  AddressingSchema,
  DefaultAlphabet,
  EncodingSchema,
  LongMessageMode,
  SubmitSchema,
  TlvDirection,
  TlvSchema,
  ValidityFormat,
} from "@operator-management/contract/ops/v1/submit_pb.js";
import { copyOf } from "./canonical.ts";
import { isOutputOnly } from "./field-options.ts";

const seconds = (count: number): ReturnType<typeof durationFromMs> => durationFromMs(count * 1_000);

/**
 * What an unset field means, by message type, as the contract's comments state it. An empty message in here is filled in by its own
 * type's defaults. Not in here, so not filled in: what follows another field (`max_binds`, `throughput.burst`), what is inherited
 * (a coverage entry's priority and weight, a connection's health_policy), and what has no default.
 */
export const defaults: ReadonlyMap<string, Message> = new Map([
  of(OperatorSchema, { kind: OperatorKind.MNO, healthPolicy: {} }),
  of(ConnectionSchema, {
    endpointPolicy: EndpointPolicy.ORDERED,
    failbackDelay: seconds(300),
    binds: [{ role: BindRole.TRX }],
    bindLimitScope: BindLimitScope.ACCOUNT,
    vendorHoldTime: seconds(120),
    interfaceVersion: InterfaceVersion.V3_4,
    throttle: {},
    timers: {},
    reconnect: {},
    onResponseTimeout: ResponseTimeoutAction.MARK_UNKNOWN,
    addressing: {},
    encoding: {},
    submit: {},
    receipts: {},
    priority: 100,
    weight: 100,
    capabilities: {},
  }),
  of(EndpointSchema, { port: 2775, priority: 10 }),
  of(TlsSchema, { mode: TlsMode.OFF, minVersion: TlsVersion.V1_2, verify: TlsVerify.FULL }),
  of(BindSchema, { count: 1 }),
  of(ThroughputSchema, { scope: ThroughputScope.ACCOUNT, window: 10 }),
  of(ThrottleSchema, { pause: seconds(1), floorPercent: 10, recoverPercent: 10, recoverInterval: seconds(10) }),
  of(TimersSchema, {
    connect: seconds(10),
    bind: seconds(10),
    unbind: seconds(5),
    enquireLink: seconds(30),
    enquireLinkResponse: seconds(10),
    missed: 3,
    inactivity: seconds(300),
    response: seconds(60),
  }),
  of(ReconnectSchema, { initial: seconds(5), max: seconds(300), jitterPercent: 20 }),
  of(AddressingSchema, {
    alphanumeric: { ton: 5, npi: 0, allowed: true },
    shortCode: { ton: 3, npi: 0, allowed: true },
    international: { ton: 1, npi: 1, allowed: true },
    destTon: 1,
    destNpi: 1,
  }),
  of(EncodingSchema, {
    dcs0: DefaultAlphabet.GSM7,
    latin1Dcs: 3,
    unicodeDcs: 8,
    allowedDcs: [0, 3, 8],
    long: LongMessageMode.UDH8,
    maxSegments: 10,
  }),
  of(SubmitSchema, { validityFormat: ValidityFormat.RELATIVE, registeredDelivery: 1 }),
  of(TlvSchema, { on: TlvDirection.SUBMIT }),
  of(ReceiptsSchema, {
    idFrom: ReceiptIdSource.TLV_THEN_TEXT,
    submitId: MessageIdFormat.STRING,
    receiptId: MessageIdFormat.STRING,
    detect: ReceiptDetection.ESM_CLASS,
    timeZone: "UTC",
    expiry: seconds(72 * 3_600),
  }),
  of(CapabilitiesSchema, { alphanumeric: true, unicode: true, receipts: true }),
  of(HealthPolicySchema, {
    errorRatioWarning: 0.05,
    errorRatioCritical: 0.2,
    minimumSegments: 50,
    goodStreak: 3,
    bindsMissingAfter: seconds(120),
    reportIntervalsUntilUnknown: 3,
    alertHold: seconds(60),
  }),
  of(MaintenanceWindowSchema, { keepBinds: true }),
]);

/** A copy in which every unset field with a default has it, so that connectors, diffs and etags see effective values. */
export function withDefaults(operator: Operator): Operator {
  const filled = copyOf(operator);
  fill(reflect(OperatorSchema, filled, false));
  return filled;
}

function of<D extends DescMessage>(schema: D, values: MessageInitShape<D>): [string, Message] {
  return [schema.typeName, create(schema, values)];
}

function fill(message: ReflectMessage): void {
  const values = defaults.get(message.desc.typeName);
  if (values !== undefined) fillFrom(message, reflect(message.desc, values, false));
  for (const field of message.fields) {
    if (field.message === undefined || isOutputOnly(field) || !message.isSet(field)) continue;
    if (field.fieldKind === "message") fill(message.get(field));
    else for (const item of (message.get(field) as ReadonlyMap<unknown, ReflectMessage>).values()) fill(item);
  }
}

function fillFrom(message: ReflectMessage, values: ReflectMessage): void {
  for (const field of values.fields) {
    if (!values.isSet(field)) continue;
    if (field.fieldKind === "list") {
      const list = message.get(field);
      if (list.size === 0) for (const item of values.get(field)) list.add(copied(item));
    } else if (field.fieldKind === "message") {
      if (!message.isSet(field)) message.set(field, copied(values.get(field)));
      // A span that is set is a value: 5 s must not get another's nanoseconds.
      else if (!field.message.typeName.startsWith("google.protobuf.")) fillFrom(message.get(field), values.get(field));
    } else if (!message.isSet(field)) {
      message.set(field, values.get(field));
    }
  }
}

/** Defaults are shared, what is filled in belongs to its operator. */
function copied<T>(value: T): T {
  return isReflectMessage(value) ? (reflect(value.desc, clone(value.desc, value.message), false) as T) : value;
}
