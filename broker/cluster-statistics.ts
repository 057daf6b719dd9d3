import type { Cluster } from "./cluster.ts";
import type { Reading } from "./statistics.ts";

/** What a node tells of the others, for /metrics; nothing on a node that is alone. */
export function clusterReadings(cluster: Pick<Cluster, "peers" | "isConnected" | "stats"> | undefined): readonly Reading[] {
  if (!cluster) return [];
  const waiting = (of: "messages" | "bytes") => () =>
    cluster.stats.waiting.map((one) => ({ labels: { node: one.peerId }, value: one[of] }));
  const dropped = () => [
    { labels: { kind: "qos0" }, value: cluster.stats.droppedQos0 },
    { labels: { kind: "others" }, value: cluster.stats.droppedOthers },
  ];
  return [
    {
      type: "gauge",
      name: "hexahub_cluster_peers",
      help: "Other nodes that are alive, as this one knows them",
      read: () => cluster.peers.size,
    },
    {
      type: "gauge",
      name: "hexahub_cluster_redis_up",
      help: "1 while Redis answers and this node is a member of the cluster",
      read: () => Number(cluster.isConnected),
    },
    {
      type: "gauge",
      name: "hexahub_cluster_redis_round_trip_seconds",
      help: "How long Redis took for its last answer, or lets this node wait by now",
      read: () => cluster.stats.roundTripMs / 1_000,
    },
    {
      type: "gauge",
      name: "hexahub_cluster_waiting",
      help: "Messages that wait for each other node",
      labelNames: ["node"],
      read: waiting("messages"),
    },
    {
      type: "gauge",
      name: "hexahub_cluster_waiting_bytes",
      help: "What they take of the memory",
      labelNames: ["node"],
      read: waiting("bytes"),
    },
    {
      type: "counter",
      name: "hexahub_cluster_dropped_total",
      help: "Messages for other nodes that were dropped since too much waited",
      read: dropped,
    },
  ];
}
