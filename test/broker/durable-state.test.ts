import assert from "node:assert/strict";
import { test } from "node:test";
import { type Duplex, PassThrough } from "node:stream";
import { createCounters } from "../../broker/counters.ts";
import { type DurableState, openDurableState } from "../../broker/durable-state.ts";
import { Message } from "../../broker/message.ts";
import { Output, Turn } from "../../broker/output.ts";
import type { Link, Subscription } from "../../broker/session.ts";
import type { Log } from "../../core/bus.ts";
import { readConfig } from "../../core/config.ts";
import type { Principal } from "../../core/principal.ts";
import { createTopics } from "../../core/topics.ts";
import { loadAccessDirectory } from "../../store/access-directory.ts";
import { loadBrokerState } from "../../store/broker-state.ts";
import { loadDeviceDirectory } from "../../store/device-directory.ts";
import { openStore, type Store } from "../../store/open.ts";
import { tenant } from "../store/fixtures.ts";
import { temporaryFolder } from "../support/wait.ts";

const ADMIN: Principal = { kind: "user", id: "u1", email: "u@acme.test", role: "admin", organizationId: "acme", credentialId: "c" };
const log: Log = { debug() {}, info() {}, warn() {}, error: (data, message) => assert.fail(`${message} ${JSON.stringify(data)}`) };
/** User property a=b, then content type "text". */
const PROPERTIES = Buffer.from("26000161000162030004" + Buffer.from("text").toString("hex"), "hex");

async function stateOver(store: Store): Promise<DurableState> {
  const rights = {
    topics: createTopics(),
    directory: await loadDeviceDirectory(store.db),
    access: await loadAccessDirectory(store.db, log),
  };
  const counters = createCounters();
  return openDurableState({ store, rights, counters, limits: readConfig({}, () => ""), log, clock: Date.now, isAlone: true });
}

const filter = (name: string): Subscription => ({
  filter: name,
  qos: 1,
  noLocal: false,
  retainAsPublished: false,
  retainHandling: 0,
  id: undefined,
});
const message = (topic: string, retain: boolean): Message =>
  new Message({ topic, payload: Buffer.from("x"), qos: 1, retain, properties: PROPERTIES });

function linkOver(stream: Duplex, counters = createCounters()): Link {
  const output = new Output(stream, new Turn(counters));
  return {
    version: 5,
    output,
    maxPacketBytes: 1_000,
    window: 10,
    expiryMs: 0,
    saidGoodbye: false,
    overflow: () => assert.fail(),
    takenOver: () => assert.fail(),
  };
}

test("what is queued and what is retained has its MQTT 5 properties after a restart too", async () => {
  await using folder = temporaryFolder();
  await using store = await openStore({ dataDir: folder.path });
  {
    await using state = await stateOver(store);
    const { session } = state.registry.open("reader", ADMIN, { isDurable: true, isClean: true });
    const link = linkOver(new PassThrough());
    state.registry.attach(session, link, 60_000);
    state.router.subscribe(session, filter("hexa-app/acme/bus/#"));
    state.rows.put("subscription", "reader", "hexa-app/acme/bus/#", filter("hexa-app/acme/bus/#"));
    state.registry.detach(session, link, 60_000);
    state.exchange.publish(message("hexa-app/acme/bus/queued", false));
    state.exchange.publish(message("hexa-app/acme/bus/kept", true));
    await state.exchange.stored();
  }
  await using state = await stateOver(store);
  const kept = [...state.retained.matching("hexa-app/acme/bus/kept", 0)][0];
  assert.deepEqual(kept?.properties, PROPERTIES);
  const stream = new PassThrough();
  const { session, isResumed } = state.registry.open("reader", ADMIN, { isDurable: true, isClean: false });
  assert.equal(isResumed, true);
  const link = linkOver(stream);
  state.registry.attach(session, link, 60_000);
  link.output.flush();
  const sent = stream.read() as Buffer;
  assert.equal(sent.toString("latin1").split(PROPERTIES.toString("latin1")).length - 1, 2);
});

test("a session that comes back with fewer rights gets nothing by what was worked out with the old ones", async () => {
  await using folder = temporaryFolder();
  await using store = await openStore({ dataDir: folder.path });
  const { organization, user } = await tenant(store.db, "acme");
  await using state = await stateOver(store);
  const admin: Principal = { ...ADMIN, id: user.id, organizationId: organization.id };
  const { session } = state.registry.open("reader", admin, { isDurable: true, isClean: true });
  state.router.subscribe(session, filter("#"));
  const foreign = () => state.exchange.publish(message("hexa-app/other/bus/x", false));
  assert.equal(foreign(), "here");
  state.registry.open("reader", { ...admin, role: "user" }, { isDurable: true, isClean: false });
  assert.equal(foreign(), undefined);
  assert.equal(state.exchange.publish(message(`hexa-app/${organization.id}/bus/x`, false)), "here");
});

test("a login that became no session leaves no row, unless another login or another node has the client id", async () => {
  await using folder = temporaryFolder();
  await using store = await openStore({ dataDir: folder.path });
  await using state = await stateOver(store);
  const { registry, rows } = state;
  const owners = async (): Promise<string[]> => {
    await rows.flushed();
    return (await Array.fromAsync(loadBrokerState(store.db, { kind: "owner" }))).map(({ clientId }) => clientId);
  };
  await registry.claim("alone", ADMIN, 60_000);
  await registry.claim("twice", ADMIN, 60_000);
  await registry.claim("twice", ADMIN, 60_000);
  await registry.claim("elsewhere", ADMIN, 60_000);
  assert.deepEqual(await owners(), ["alone", "elsewhere", "twice"]);
  registry.unclaim("alone", { isOurs: true });
  registry.unclaim("twice", { isOurs: true });
  registry.unclaim("elsewhere", { isOurs: false });
  assert.deepEqual(await owners(), ["elsewhere", "twice"]);
  assert.equal(registry.ownerOf("alone"), undefined);
  assert.equal(registry.ownerOf("twice"), ADMIN);
  registry.open("twice", ADMIN, { isDurable: true, isClean: false });
  registry.unclaim("twice", { isOurs: true });
  assert.deepEqual(await owners(), ["elsewhere", "twice"]);
  assert.deepEqual(
    ["twice", "third"].map((clientId) => registry.hasRoom(clientId, ADMIN, 1)),
    [true, false],
    "what was given up is not counted",
  );
});
