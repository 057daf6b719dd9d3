import assert from "node:assert/strict";
import type { Log } from "../../core/bus.ts";
import { type Cluster, type ClusterOptions, openCluster } from "../../broker/cluster.ts";
import type { ClusterHandlers } from "../../broker/cluster-handlers.ts";
import { until } from "../support/wait.ts";

export const KIND = 7;

/** What a node was told, in order. */
export interface Told {
  readonly messages: { peerId: string; text: string }[];
  readonly deadMail: { deadId: string; senderId: string; text: string }[];
  readonly adopted: string[];
  readonly released: string[];
  readonly joined: string[];
  readonly left: string[];
  readonly fenced: string[];
  resyncs: number;
}
export interface TestNode extends AsyncDisposable {
  readonly cluster: Cluster;
  readonly told: Told;
}

/** A node of a cluster in this process; it writes down what it is told. */
export async function startNode(
  redisUrl: string,
  overrides: Partial<ClusterHandlers> & Partial<Omit<ClusterOptions, "handlers">> = {},
): Promise<TestNode> {
  const told: Told = { messages: [], deadMail: [], adopted: [], released: [], joined: [], left: [], fenced: [], resyncs: 0 };
  const handlers: ClusterHandlers = {
    message: (peerId, _kind, bytes) => void told.messages.push({ peerId, text: bytes.toString() }),
    deadMail: (deadId, senderId, _kind, bytes) => void told.deadMail.push({ deadId, senderId, text: bytes.toString() }),
    adopt: async (deadId) => void told.adopted.push(deadId),
    release: async (clientId) => void told.released.push(clientId),
    joined: (peerId) => void told.joined.push(peerId),
    left: (peerId) => void told.left.push(peerId),
    fenced: (formerId) => void told.fenced.push(formerId),
    resync: () => {
      told.resyncs += 1;
    },
    ...overrides,
  };
  const cluster = openCluster({ redisUrl, log: SILENT, ...overrides, handlers });
  await cluster.joined;
  return { cluster, told, [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose]() };
}

/** Every node knows every other one, and what it wants. */
export async function acquainted(...nodes: readonly TestNode[]): Promise<void> {
  const known = () =>
    nodes.every(({ cluster }) => nodes.every((other) => other.cluster === cluster || cluster.peers.has(other.cluster.nodeId)));
  await until(known, { what: "all nodes to know each other" });
  await until(() => nodes.every(({ cluster }) => cluster.interest.peersFor("nobody/wants/this").length === 0), {
    what: "all nodes to know what the others want",
  });
}

export function say(from: TestNode, to: TestNode, text: string, droppable = false): void {
  from.cluster.send(to.cluster.nodeId, { kind: KIND, bytes: Buffer.from(text), droppable });
}

export const textsOf = ({ told }: TestNode): string[] => told.messages.map(({ text }) => text);

/** Time passes, as the clock says it: for faults that must last, and for what must not happen after them. */
export const passed = (ms: number) => {
  const end = performance.now() + ms;
  return until(() => performance.now() >= end, { what: "time to pass", timeoutMs: ms + 5_000 });
};
export const numbered = (count: number) => Array.from({ length: count }, (_, number) => `m${number}`);
export const allConnected = (...nodes: TestNode[]) => nodes.every(({ cluster }) => cluster.isConnected);
export const noneConnected = (...nodes: TestNode[]) => nodes.every(({ cluster }) => !cluster.isConnected);

export function assertNobodyDied(...nodes: TestNode[]): void {
  for (const { told } of nodes) assert.deepEqual([told.left, told.fenced, told.adopted], [[], [], []]);
}

const quiet = (): void => {};
export const SILENT: Log = { debug: quiet, info: quiet, warn: quiet, error: quiet };
