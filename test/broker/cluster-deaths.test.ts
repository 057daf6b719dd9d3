import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { askRedis, redisMissing, startRedis } from "../support/services.ts";
import { until } from "../support/wait.ts";
import { acquainted, KIND, startNode, type TestNode } from "./cluster-nodes.ts";
import { startProcess } from "./cluster-process.ts";

const options = { skip: redisMissing() ?? false, timeout: 90_000 };
const sayTo = ({ cluster }: TestNode, peerId: string, text: string, droppable = false): void =>
  cluster.send(peerId, { kind: KIND, bytes: Buffer.from(text), droppable });

// What takes long is that it is noticed.
describe("the death of a node", { concurrency: 2 }, () => {
  test("a node that is killed is known to be dead within 4.5 s, and one survivor gets what it had not read", options, async () => {
    await using redis = await startRedis();
    await using a = await startNode(redis.url);
    await using b = await startNode(redis.url);
    await using child = await startProcess(redis.url);
    await until(() => a.cluster.peers.has(child.nodeId) && b.cluster.peers.has(child.nodeId), { what: "the child to be known" });
    await acquainted(a, b);
    // Stopped first, so that its inbox has something in it when it dies.
    child.signal("SIGSTOP");
    const texts = Array.from({ length: 1_000 }, (_, number) => `m${number}`);
    for (const text of texts) sayTo(a, child.nodeId, text);
    await a.cluster.delivered();
    const killedAt = performance.now();
    child.signal("SIGKILL");
    await until(() => a.told.left.includes(child.nodeId) && b.told.left.includes(child.nodeId), { what: "both to know" });
    const tookMs = performance.now() - killedAt;
    assert.ok(tookMs < 4_500, `it took ${tookMs} ms`);
    const mail = () => [...a.told.deadMail, ...b.told.deadMail];
    await until(() => mail().length >= texts.length, { what: "the mail of the dead node" });
    assert.deepEqual([...a.told.adopted, ...b.told.adopted], [child.nodeId], "one of the two adopts it, once");
    assert.deepEqual(
      mail().map(({ text }) => text),
      texts,
    );
    await until(async () => (await askRedis(redis, `EXISTS hexa:inbox:${child.nodeId}`)).startsWith(":0"), {
      what: "the inbox to be gone",
    });
    await until(async () => (await askRedis(redis, `SISMEMBER hexa:nodes ${child.nodeId}`)).startsWith(":0"), { what: "the burial" });
  });

  test("an adoption whose handler fails is tried again, and what was not sent yet comes back as dead mail too", options, async () => {
    await using redis = await startRedis();
    let tries = 0;
    await using a = await startNode(redis.url, {
      adopt: async () => {
        tries += 1;
        if (tries < 3) throw new Error("not yet");
      },
    });
    await using child = await startProcess(redis.url);
    await until(() => a.cluster.peers.has(child.nodeId), { what: "the child to be known" });
    child.signal("SIGKILL");
    // Its inbox is gone, so that nothing more goes into it.
    await askRedis(redis, `DEL hexa:inbox:${child.nodeId}`);
    sayTo(a, child.nodeId, "late");
    sayTo(a, child.nodeId, "droppable", true);
    await until(() => a.told.left.includes(child.nodeId), { what: "its death to be known" });
    await a.cluster.delivered();
    await until(() => tries === 3, { what: "the third try" });
    assert.deepEqual(a.told.deadMail, [{ deadId: child.nodeId, senderId: a.cluster.nodeId, text: "late" }]);
  });

  test("when the node that adopts a dead one dies too, the next one adopts both", options, async () => {
    await using redis = await startRedis();
    await using first = await startProcess(redis.url);
    await using second = await startProcess(redis.url, "never adopts");
    await until(async () => (await askRedis(redis, "SCARD hexa:nodes")).startsWith(":2"), { what: "both to be members" });
    first.signal("SIGKILL");
    await until(() => second.of("adopt").some(({ deadId }) => deadId === first.nodeId), { what: "the adoption to begin" });
    second.signal("SIGKILL");
    await using a = await startNode(redis.url);
    await until(() => a.told.adopted.length === 2, { what: "both to be adopted", timeoutMs: 20_000 });
    assert.deepEqual(a.told.adopted.toSorted(), [first.nodeId, second.nodeId].toSorted());
  });

  test("a node that stood still is told that it was declared dead, and goes on as a new one", options, async () => {
    await using redis = await startRedis();
    await using a = await startNode(redis.url);
    await using child = await startProcess(redis.url);
    await until(() => a.cluster.peers.has(child.nodeId), { what: "the child to be known" });
    child.tell({ claim: "lamp", want: "lamp/#" });
    await until(() => child.of("claimed").length === 1, { what: "its claim" });
    child.signal("SIGSTOP");
    // Redis has given it to the process that stands still: it must not handle what somebody else does.
    sayTo(a, child.nodeId, "unread");
    await until(() => a.told.left.includes(child.nodeId), { what: "its death to be known" });
    await until(() => a.told.deadMail.length > 0, { what: "its mail" });
    assert.deepEqual(a.told.deadMail, [{ deadId: child.nodeId, senderId: a.cluster.nodeId, text: "unread" }]);
    assert.equal((await a.cluster.claims.claim("lamp")).previous, child.nodeId);
    child.signal("SIGCONT");
    await until(() => child.of("fenced").length === 1, { what: "the fencing to be told" });
    const { formerId, nodeId = "" } = child.of("fenced")[0] ?? {};
    assert.equal(formerId, child.nodeId);
    assert.notEqual(nodeId, child.nodeId);
    await until(() => a.cluster.peers.has(nodeId), { what: "the new node to be known" });
    await until(() => a.cluster.interest.peersFor("lamp/1").includes(nodeId), { what: "what it wants to be known" });
    sayTo(a, nodeId, "to the new one");
    child.tell({ say: "from the new one" });
    await until(() => child.of("message").length === 1 && a.told.messages.length === 1, { what: "messages both ways" });
    assert.equal(child.of("message")[0]?.text, "to the new one");
    assert.deepEqual(a.told.messages, [{ peerId: nodeId, text: "from the new one" }]);
  });

  test("messages that were lost in Redis are noticed with the next one, and what the sender wants is asked again", options, async () => {
    await using redis = await startRedis();
    await using a = await startNode(redis.url);
    await using child = await startProcess(redis.url);
    await until(() => a.cluster.peers.has(child.nodeId), { what: "the child to be known" });
    a.cluster.interest.add("known/before");
    await a.cluster.interest.announced("known/before");
    // It reads nothing while its inbox loses what is in it, and is not away long enough to be taken for dead.
    child.signal("SIGSTOP");
    // Redis hands the first one to the read that waits.
    sayTo(a, child.nodeId, "read");
    await a.cluster.delivered();
    sayTo(a, child.nodeId, "lost");
    a.cluster.interest.add("also/lost");
    const announced = a.cluster.interest.announced("also/lost");
    await a.cluster.delivered();
    await askRedis(redis, `XTRIM hexa:inbox:${child.nodeId} MAXLEN 0`);
    sayTo(a, child.nodeId, "last");
    await a.cluster.delivered();
    child.signal("SIGCONT");
    await until(() => child.of("message").some(({ text }) => text === "last"), { what: "the last" });
    await until(() => child.of("resync").length > 0, { what: "the gap to be told" });
    await announced;
    await a.cluster.interest.announced("also/lost");
    child.tell({ ask: "also/lost" });
    await until(() => child.of("wanted").length > 0, { what: "its answer" });
    assert.deepEqual(child.of("wanted")[0]?.peers, [a.cluster.nodeId]);
    assert.deepEqual(
      child.of("message").map(({ text }) => text),
      ["read", "last"],
    );
  });
});
