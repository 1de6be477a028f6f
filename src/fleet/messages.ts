import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { Position } from "@operator-management/client";
import { NodeStatusSchema, type NodeStatus } from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import { ReportNodeStatusRequestSchema } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { MAX_REPLY_BYTES } from "../rpc/paging.ts";
import type { FleetNode } from "./fleet.ts";
import { revisionsBehind } from "./revisions-behind.ts";

/** Kept for each node that is still to come: every node is shown, whatever the others reported. */
const BARE_NODE_BYTES = 1024;

/**
 * The nodes as the API shows them, within a reply's size: where a node's binds don't fit they are left out, then its refusals and labels.
 */
export function nodeStatuses(nodes: readonly FleetNode[], server: Position, now: Date): NodeStatus[] {
  let room = MAX_REPLY_BYTES - nodes.length * BARE_NODE_BYTES;
  return nodes.map((node) => {
    const whole = nodeStatus(node, server, now);
    for (const smaller of [whole, { ...whole, connections: [] }]) {
      const size = toBinary(NodeStatusSchema, smaller).length;
      if (size > room) continue;
      room -= size;
      return smaller;
    }
    return { ...whole, connections: [], rejected: [], labels: {} };
  });
}

function nodeStatus(node: FleetNode, server: Position, now: Date): NodeStatus {
  const report = fromBinary(ReportNodeStatusRequestSchema, node.report);
  const { labels, maxBinds, accepting, appliedToken, rejected, connections } = report;
  return create(NodeStatusSchema, {
    node: node.node,
    epoch: node.epoch,
    namespace: node.namespace,
    labels,
    maxBinds,
    accepting,
    appliedToken,
    revisionsBehind: revisionsBehind(node.applied, server),
    rejected,
    connections,
    reportTime: timestampFromDate(node.reportTime),
    silentFor: durationFromMs(Math.max(0, now.getTime() - node.reportTime.getTime())),
  });
}
