import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import type { ClientInternals, InboundPublish } from "../../broker/aedes-internals.ts";
import { createIngest } from "../../broker/ingest.ts";
import { acceptPublish } from "../../broker/publish.ts";
import { createRefusals } from "../../broker/refusals.ts";
import type { Log } from "../../core/bus.ts";
import { HubError } from "../../core/errors.ts";
import { createTopics } from "../../core/topics.ts";
import { loadDeviceDirectory } from "../../store/device-directory.ts";
import { openStore } from "../../store/open.ts";
import { device, tenant } from "../store/fixtures.ts";
import { temporaryFolder } from "../support/wait.ts";

const log: Log = { debug() {}, info() {}, warn() {}, error() {} };

for (const code of ["unavailable", "storage_full"] as const) {
  test(`a QoS 1 message is not acknowledged when the database answers ${code}`, async () => {
    await using folder = temporaryFolder();
    await using store = await openStore({ dataDir: folder.path });
    const { id, uid } = await device(store.db, await tenant(store.db, "acme"));
    const directory = await loadDeviceDirectory(store.db);
    const topics = createTopics();
    const context = { store, directory, topics, log, metrics: { count() {}, observe() {} }, clock: Date.now };
    await using ingest = createIngest(context);
    ingest.handle("heartbeat", async () => {
      throw new HubError(code, "the database does not answer");
    });
    const conn = new PassThrough();
    const packet: InboundPublish = { topic: `hexa/${uid}/up/heartbeat`, payload: "{}", qos: 1, retain: false, messageId: 1 };
    const outcome = await acceptPublish(
      {
        ...context,
        rights: { topics, directory },
        ingest,
        commands: () => assert.fail("a heartbeat is no command"),
        refusals: createRefusals({ ...context, announce() {} }),
      },
      { conn, version: 4 } as unknown as ClientInternals,
      { kind: "device", id, uid, credentialId: "token" },
      packet,
    );
    assert.equal(outcome, "close");
    assert.equal(conn.read(), null);
  });
}
