import assert from "node:assert/strict";
import { test } from "node:test";
import { OWN_KINDS } from "../../broker/cluster-frame.ts";
import { SharedInterest } from "../../broker/cluster-interest.ts";
import { createCounters } from "../../broker/counters.ts";
import { openDurableState } from "../../broker/durable-state.ts";
import { Message } from "../../broker/message.ts";
import { readConfig } from "../../core/config.ts";
import type { Principal } from "../../core/principal.ts";
import { createTopics } from "../../core/topics.ts";
import { loadAccessDirectory } from "../../store/access-directory.ts";
import { loadDeviceDirectory } from "../../store/device-directory.ts";
import { openStore } from "../../store/open.ts";
import { type FaultProxy, startFaultProxy } from "../support/fault-proxy.ts";
import { redisMissing, startRedis } from "../support/services.ts";
import { temporaryFolder, until } from "../support/wait.ts";
import { acquainted, SILENT, startNode, type TestNode } from "./cluster-nodes.ts";

const skip = redisMissing() ?? false;
const ADMIN: Principal = { kind: "user", id: "u1", email: "u@acme.test", role: "admin", organizationId: "acme", credentialId: "c" };
const BUS = "hexa-app/acme/bus";

test("what only this node's sessions get is acknowledged without Redis, what others get when Redis has it", { skip }, async () => {
  await using scene = await startScene();
  const { line, publish, stored } = scene;
  line.freeze();
  assert.deepEqual([publish("elsewhere"), publish("here"), publish("nowhere")], ["elsewhere", "here", undefined]);
  let hasRedisAnswered = false;
  const delivered = stored("elsewhere").then(() => (hasRedisAnswered = true));
  await stored("here");
  assert.equal(hasRedisAnswered, false);
  line.thaw();
  await delivered;
});

test("while another node cannot say again what it wants, it is sent everything, and what it wanted before counts", { skip }, async () => {
  await using scene = await startScene();
  const { line, otherLine, node, other, publish } = scene;
  otherLine.freeze();
  line.cut();
  const peers = () => node.cluster.interest.peersFor(`${BUS}/here`);
  await until(() => peers().includes(other.cluster.nodeId), { what: "the doubt after the reconnect" });
  assert.deepEqual([publish("elsewhere"), publish("here"), publish("nowhere")], ["elsewhere", "here", undefined]);
  otherLine.thaw();
  await until(() => peers().length === 0, { what: "the end of the doubt" });
  assert.deepEqual([publish("elsewhere"), publish("here")], ["elsewhere", "here"]);
});

test("what a node wants is waited for while it has never said it, or is in the middle of saying it again", () => {
  const interest = new SharedInterest(() => {});
  const says = (what: object) => interest.receive("peer", OWN_KINDS.interest, Buffer.from(JSON.stringify({ remove: [], ...what })));
  const found = (topic: string) => [interest.peersFor(topic).length > 0, interest.isWanted(topic)];
  interest.joined("peer");
  assert.deepEqual(found("other"), [true, true]);
  says({ version: 1, reset: true, add: ["wanted"] });
  assert.deepEqual([interest.peersFor("other"), interest.peersFor("wanted")], [[], ["peer"]]);
  interest.joined("peer");
  assert.deepEqual(
    [found("other"), found("wanted")],
    [
      [true, false],
      [true, true],
    ],
  );
  says({ version: 2, reset: true, more: true, add: [] });
  assert.deepEqual(found("other"), [true, true]);
  says({ version: 2, add: ["other"] });
  interest.joined("peer");
  assert.deepEqual(
    [found("other"), found("wanted")],
    [
      [true, true],
      [true, false],
    ],
  );
  interest.left("peer");
  interest.buried("peer");
  interest.joined("peer");
  assert.deepEqual(found("wanted"), [true, true]);
});

interface Scene extends AsyncDisposable {
  readonly line: FaultProxy;
  readonly otherLine: FaultProxy;
  readonly node: TestNode;
  readonly other: TestNode;
  /** A QoS 1 message that only the session here wants (`here`), only the other node (`elsewhere`), or nobody. */
  readonly publish: (name: string) => unknown;
  readonly stored: (followed: "here" | "elsewhere") => Promise<void>;
}

/** The message path of one node with a session that is away, and another node; each has its own line to Redis. */
async function startScene(): Promise<Scene> {
  await using stack = new AsyncDisposableStack();
  const redis = stack.use(await startRedis());
  const [line, otherLine] = [stack.use(await startFaultProxy(redis)), stack.use(await startFaultProxy(redis))];
  const store = stack.use(await openStore({ dataDir: stack.use(temporaryFolder()).path }));
  const rights = {
    topics: createTopics(),
    directory: await loadDeviceDirectory(store.db),
    access: await loadAccessDirectory(store.db, SILENT),
  };
  const limits = readConfig({}, () => "");
  const context = { store, rights, counters: createCounters(), limits, log: SILENT, clock: Date.now };
  const { exchange, neighbours, registry, router } = stack.use(await openDurableState({ ...context, isAlone: true }));
  const node = stack.use(await startNode(`redis://127.0.0.1:${line.port}`));
  const other = stack.use(await startNode(`redis://127.0.0.1:${otherLine.port}`));
  neighbours.join(node.cluster);
  const { session } = registry.open("away", ADMIN, { isDurable: true, isClean: true });
  const subscription = { qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0, id: undefined } as const;
  router.subscribe(session, { ...subscription, filter: `${BUS}/here` });
  await acquainted(node, other);
  other.cluster.interest.add(`${BUS}/elsewhere`);
  await other.cluster.interest.announced(`${BUS}/elsewhere`);
  const running = stack.move();
  return {
    line,
    otherLine,
    node,
    other,
    publish: (name) =>
      exchange.publish(new Message({ topic: `${BUS}/${name}`, payload: Buffer.from("x"), qos: 1, retain: false, properties: undefined })),
    stored: (followed) => exchange.stored(followed),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}
