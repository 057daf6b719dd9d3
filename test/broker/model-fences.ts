import assert from "node:assert/strict";
import { codeOf, openRawClient, type RawClient } from "../support/raw-client.ts";
import { until } from "../support/wait.ts";
import type { Cast } from "./model-cast.ts";

/** How a test knows that what has happened at one node has reached the others. */
export interface Fences extends AsyncDisposable {
  /** Something was said at the node: a message, a word of the hub, a change of who shares a filter. */
  said(node: number): void;
  /** A session came to the node. */
  moved(node: number): void;
  /**
   * To be awaited before the next thing happens at the node, when its order behind what was said elsewhere counts; and,
   * if it is fragile, that messages find the sessions that moved.
   */
  before(node: number, isFragile?: boolean): Promise<void>;
  /** Resolves when every node has dealt with all that was said up to now. */
  pass(): Promise<void>;
  /** Resolves when the node has dealt with the ends of connections that came to it before. */
  noticed(node: number): Promise<void>;
  /** Resolves when every node knows whose the device is; rejects when one does not within {@link RIGHTS_MS}. */
  known(uid: string, organization: string | undefined): Promise<void>;
}

/** What a change of rights may take until it holds everywhere. */
const RIGHTS_MS = 1_000;
/** Node a tells b, which answers a, which passes it on to b: a message for a session that has moved takes no more. */
const LONGEST_CHAIN = 3;
const TOPIC = /^hexa-app\/[^/]+\/bus\/fence\/\d+$/;

/** Whoever sees the fences' own messages by a wildcard does not count them. */
export const isFence = (topic: string): boolean => TOPIC.test(topic);

/**
 * A fence is a message from each node to each other. Whatever one node tells another is one stream that is read in
 * order: when the message has come, all before it was dealt with. As often as the longest chain of tellings has links.
 */
export async function startFences({ hubs, guards, organizations }: Cast): Promise<Fences> {
  await using stack = new AsyncDisposableStack();
  const clients: RawClient[][] = [];
  for (const [node, { mqtt }] of hubs.entries()) {
    const mine = guards.map(({ username, passwords }, at) =>
      logIn(new URL(mqtt), `fence-${node}-${at}`, [username, passwords[0] as string]),
    );
    clients.push((await Promise.all(mine)).map((client) => stack.use(client)));
  }
  const probes = clients.map(([first]) => first as RawClient);
  const topicOf = (node: number): string => `hexa-app/${organizations[0]}/bus/fence/${node}`;
  for (const [node, probe] of probes.entries()) await probe.subscribe(topicOf(node));
  const said = new Set<number>();
  const moved = new Set<number>();
  let count = 0;

  async function round(): Promise<void> {
    const text = `${++count}`;
    for (const [from, probe] of probes.entries())
      for (const to of probes.keys())
        if (to !== from) probe.send({ cmd: "publish", topic: topicOf(to), payload: `${from} ${text}`, qos: 0, retain: false, dup: false });
    for (const [to, probe] of probes.entries())
      for (const from of probes.keys())
        if (to !== from) await probe.pick("publish", ({ payload }) => payload.toString() === `${from} ${text}`);
  }

  async function pass(): Promise<void> {
    said.clear();
    moved.clear();
    for (let link = 0; link < LONGEST_CHAIN; link++) await round();
  }

  const running = stack.move();
  return {
    said: (node) => void said.add(node),
    moved: (node) => void moved.add(node),
    async before(node, isFragile = true) {
      if ([...said, ...(isFragile ? moved : [])].some((one) => one !== node)) await pass();
    },
    pass,
    async noticed(node) {
      // The hub hears of the end before it hears of what comes afterwards, and takes it a turn later.
      for (let ping = 0; ping < 3; ping++) await (probes[node] as RawClient).ping();
    },
    async known(uid, organization) {
      const asked = clients.flatMap((mine, node) => mine.map((client, at) => ({ client, node, sees: organizations[at] === organization })));
      for (const { client, node, sees } of asked)
        await until(async () => ((await client.subscribe(`hexa/${uid}/fence`)).granted[0] === 0) === sees, {
          what: `node ${node} to know whose ${uid} is`,
          timeoutMs: RIGHTS_MS,
        });
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/** Waits until each node hears what is said at the others: a node that has just come may miss what happens before. */
export async function acquaint({ hubs, guards, organizations }: Pick<Cast, "hubs" | "guards" | "organizations">): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const { username = "", passwords = [] } = guards[0] ?? {};
  const topic = (node: number): string => `hexa-app/${organizations[0]}/bus/fence/${node}`;
  const clients: RawClient[] = [];
  for (const [node, { mqtt }] of hubs.entries()) {
    const client = stack.use(await logIn(new URL(mqtt), `acquaint-${node}`, [username, passwords[0] as string]));
    await client.subscribe(topic(node));
    clients.push(client);
  }
  for (const [from, speaker] of clients.entries())
    for (const [to, listener] of clients.entries())
      await until(
        async () => {
          await speaker.publish(topic(to), `${from}`);
          await listener.ping();
          return listener.takeAll().some((packet) => packet.cmd === "publish" && packet.payload.toString() === `${from}`);
        },
        { what: `node ${to} to hear node ${from}` },
      );
}

async function logIn({ hostname, port }: URL, clientId: string, [username, password]: readonly [string, string]): Promise<RawClient> {
  const client = await openRawClient({ host: hostname, port: Number(port) }, { version: 4 });
  const login = { clientId, username, password: Buffer.from(password), clean: true, keepalive: 1_200 };
  assert.equal(codeOf(await client.connect({ cmd: "connect", protocolId: "MQTT", protocolVersion: 4, ...login })), 0);
  return client;
}
