import assert from "node:assert/strict";
import { test } from "node:test";
import { startHub } from "../support/hub.ts";
import { postgresMissing, redisMissing } from "../support/services.ts";
import { until } from "../support/wait.ts";
import { addAccount, connectTo, LASTING, type NodeClient, startGround } from "./nodes.ts";

for (const { how, of } of [
  { how: "ends with its connection", of: { clean: true } },
  { how: "the next one does not want", of: LASTING },
]) {
  test(`what a client says last is not lost on its own share of a group in a session that ${how}`, async () => {
    await using hub = await startHub();
    const account = await addAccount(hub);
    const topic = `${account.prefix}/last`;
    const shared = `$share/g/${topic}`;
    const member = await connectTo(hub, account, { ...LASTING, clientId: "member" });
    await member.client.subscribeAsync(shared, { qos: 1 });
    await member.client.endAsync();
    const said: string[] = [];
    let last = undefined;
    for (let round = 0; round < 6; round++) {
      const will = { topic, payload: Buffer.from(`${round}`), qos: 1, retain: false } as const;
      const next = await connectTo(hub, account, { ...(round % 2 === 0 ? of : { clean: true }), clientId: "speaker", will });
      if (round > 0) said.push(`${round - 1}`);
      await next.client.subscribeAsync(shared, { qos: 1 });
      last = next;
    }
    await last?.client.endAsync();
    const again = await connectTo(hub, account, { ...LASTING, clientId: "member" });
    await until(() => again.seen.length >= said.length, { what: "every last word" });
    assert.deepEqual(
      again.seen.map(({ text }) => text),
      said,
    );
    await again.client.endAsync();
  });
}

test("what a client says last comes once to its own session, which goes to and fro between two nodes", {
  skip: postgresMissing() ?? redisMissing(),
  timeout: 60_000,
}, async () => {
  await using ground = await startGround();
  await using a = await startHub(ground);
  await using b = await startHub(ground);
  const account = await addAccount(a);
  const topic = `${account.prefix}/last`;
  let at: NodeClient | undefined;
  for (let round = 0; round < 6; round++) {
    const will = { topic, payload: Buffer.from(`${round}`), qos: 1, retain: true } as const;
    at = await connectTo(round % 2 === 0 ? a : b, account, { ...LASTING, clientId: "speaker", will });
    if (round === 0) await at.client.subscribeAsync(topic, { qos: 1 });
    const last = at;
    if (round > 0) await until(() => last.seen.length > 0, { what: "the last word" });
  }
  await at?.client.publishAsync(topic, "end", { qos: 1 });
  await at?.has("4", "end");
  await at?.client.endAsync();
});
