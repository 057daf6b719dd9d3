import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { connect as connectTcp } from "node:net";
import { test } from "node:test";
import { serialize } from "node:v8";
import mqttPacket from "mqtt-packet";
import { Retained } from "../../broker/retained.ts";
import { Message } from "../../broker/message.ts";
import { WriteBehind } from "../../broker/write-behind.ts";
import { readConfig } from "../../core/config.ts";
import { saveBrokerState } from "../../store/broker-state.ts";
import { openStore } from "../../store/open.ts";
import { type HubProcess, spawnHub } from "../support/hub.ts";
import { temporaryFolder, until } from "../support/wait.ts";
import { type Account, leastOf, limitScene, metricOf } from "./limits-scene.ts";

const TOPICS = 50_000;
const PAYLOAD_BYTES = 100;
const MIB = 1_048_576;

/** A folder whose hub has 50,000 retained messages below `<bus>r/`, and an account that may read them. */
async function folderOfRetained(dataDir: string): Promise<{ bus: string; account: Account }> {
  let bus: string;
  let account: Account;
  {
    await using scene = await limitScene({}, { dataDir });
    ({ bus } = scene);
    account = await scene.service();
  }
  await using store = await openStore({ dataDir, databaseUrl: undefined });
  const payload = Buffer.alloc(PAYLOAD_BYTES, ".");
  const rows = Array.from({ length: TOPICS }, (_, index) => ({
    kind: "retained" as const,
    clientId: "",
    key: `${bus}r/${index}`,
    value: serialize({ topic: `${bus}r/${index}`, payload, qos: 0 }),
  }));
  await saveBrokerState(store.db, rows);
  return { bus, account };
}

/** A reader of `#` that only counts: which of the topics came how often. */
class Reader implements Disposable {
  readonly counts = new Uint8Array(TOPICS);
  total = 0;
  isConnected = false;
  readonly #socket;
  readonly #isSlow: boolean;
  #rest = Buffer.alloc(0);

  constructor(hub: HubProcess, account: Account, { clientId, isSlow }: { clientId: string; isSlow: boolean }) {
    this.#isSlow = isSlow;
    this.#socket = connectTcp(Number(new URL(hub.mqtt).port), "127.0.0.1");
    const { username } = account;
    const password = Buffer.from(account.password);
    this.#socket.write(
      mqttPacket.generate({
        cmd: "connect",
        protocolId: "MQTT",
        protocolVersion: 4,
        clientId,
        clean: true,
        keepalive: 600,
        username,
        password,
      }),
    );
    this.#socket.on("data", (chunk: Buffer) => this.#read(chunk));
  }

  subscribe(filter: string): void {
    this.#socket.write(mqttPacket.generate({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: filter, qos: 0 }] }));
  }

  #read(chunk: Buffer): void {
    const bytes = Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (at + 4 <= bytes.length) {
      const isLong = (bytes[at + 1] as number) >= 0x80;
      const body = at + (isLong ? 3 : 2);
      const end = body + (isLong ? ((bytes[at + 1] as number) & 127) + (bytes[at + 2] as number) * 128 : (bytes[at + 1] as number));
      if (end > bytes.length) break;
      this.isConnected = true;
      if ((bytes[at] as number) >> 4 === 3) this.#count(bytes.toString("latin1", body + 2, body + 2 + bytes.readUInt16BE(body)));
      at = end;
    }
    this.#rest = bytes.subarray(at);
    if (!this.#isSlow) return;
    this.#socket.pause();
    setTimeout(() => this.#socket.resume(), 1);
  }

  #count(topic: string): void {
    const index = Number(topic.slice(topic.lastIndexOf("/") + 1));
    (this.counts[index] as number)++;
    this.total++;
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}

const memoryOf = (pid: number): number => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1]) * 1_024;

test("50,000 retained messages go to a slow reader and to 20 that subscribe at once, each once, in bounded memory, and nobody else waits", {
  timeout: 180_000,
}, async () => {
  await using folder = temporaryFolder();
  const { bus, account } = await folderOfRetained(folder.path);
  await using hub = await spawnHub({ dataDir: folder.path });
  const pid = hub.child.pid as number;
  assert.ok((await metricOf(hub, "hexahub_mqtt_retained")) >= TOPICS);
  const before = memoryOf(pid);
  let most = 0;
  async function loopP99S(): Promise<number> {
    using readers = new DisposableStack();
    const open = (clientId: string, isSlow: boolean) => readers.use(new Reader(hub, account, { clientId, isSlow }));
    const all = [open("slow", true), ...Array.from({ length: 20 }, (_, index) => open(`fast-${index}`, false))];
    await until(() => all.every(({ isConnected }) => isConnected), { what: "21 clients" });
    // This one begins anew whenever somebody looks.
    await metricOf(hub, "nodejs_eventloop_lag_p99_seconds");
    for (const reader of all) reader.subscribe(`${bus}#`);
    await until(
      () => {
        most = Math.max(most, memoryOf(pid));
        return all.every(({ total }) => total >= TOPICS);
      },
      { what: "all messages at all readers", timeoutMs: 50_000 },
    );
    const p99S = await metricOf(hub, "nodejs_eventloop_lag_p99_seconds");
    for (const { counts } of all) assert.ok(counts.every((count) => count === 1));
    return p99S;
  }
  const p99S = await leastOf(0.1, loopP99S);
  assert.ok(p99S <= 0.1, `the loop was ${Math.round(p99S * 1_000)} ms late`);
  assert.ok(most - before < 64 * MIB, `${Math.round((most - before) / MIB)} MiB more for 21 × 7 MiB of messages`);
});

test("a search for retained messages meets each topic once, whatever changes meanwhile, and comes to an end", async () => {
  const rows = new WriteBehind({ save: async () => undefined, onError: (error) => assert.ifError(error) });
  const retained = new Retained({ rows, isStored: () => false, limits: readConfig({}, () => "") });
  const set = (topic: string, text: string): boolean =>
    retained.set(new Message({ topic, payload: Buffer.from(text), qos: 0, retain: true }));
  for (let index = 0; index < 1_000; index++) set(`t/${index}`, "first");
  const seen = new Map<string, string[]>();
  let steps = 0;
  for (const message of retained.matching("t/#", 0)) {
    assert.ok(++steps < 3_000, "it does not end");
    if (message) seen.set(message.topic, [...(seen.get(message.topic) ?? []), String(message.payload)]);
    // Behind the search, ahead of it, a new one, one that goes and one that comes again.
    set("t/0", `changed ${steps}`);
    set("t/999", "changed");
    set(`t/new-${steps}`, "new");
    set("t/500", "");
    set("t/500", "again");
  }
  assert.equal(seen.size, 999);
  assert.ok([...seen.values()].every(({ length }) => length === 1));
  assert.deepEqual(
    ["t/0", "t/999", "t/500"].map((topic) => seen.get(topic)),
    [["first"], ["changed"], undefined],
  );
  await rows.flushed();
});
