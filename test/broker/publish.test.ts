import assert from "node:assert/strict";
import { test } from "node:test";
import type { Inbound } from "../../broker/inbound.ts";
import { createIngest } from "../../broker/ingest.ts";
import { acceptPublish } from "../../broker/publish.ts";
import { createRefusals } from "../../broker/refusals.ts";
import type { Log } from "../../core/bus.ts";
import { HubError } from "../../core/errors.ts";
import { createTopics } from "../../core/topics.ts";
import { loadAccessDirectory } from "../../store/access-directory.ts";
import { loadDeviceDirectory } from "../../store/device-directory.ts";
import { openStore } from "../../store/open.ts";
import { device, tenant } from "../store/fixtures.ts";
import { temporaryFolder } from "../support/wait.ts";

const log: Log = { debug() {}, info() {}, warn() {}, error() {} };

for (const code of ["unavailable", "storage_full"] as const) {
  test(`a QoS 1 message is not taken when the database answers ${code}`, async () => {
    await using folder = temporaryFolder();
    await using store = await openStore({ dataDir: folder.path });
    const { id, uid } = await device(store.db, await tenant(store.db, "acme"));
    const directory = await loadDeviceDirectory(store.db);
    const topics = createTopics();
    const context = {
      store,
      directory,
      topics,
      log,
      metrics: { count() {}, observe() {} },
      clock: Date.now,
      stored: async () => undefined,
      storage: { failed: () => false },
    };
    await using ingest = createIngest(context);
    ingest.handle("heartbeat", async () => {
      throw new HubError(code, "the database does not answer");
    });
    const packet: Inbound = {
      topic: `hexa/${uid}/up/heartbeat`,
      payload: Buffer.from("{}"),
      qos: 1,
      retain: false,
      dup: false,
      packetId: 1,
      properties: Buffer.alloc(0),
      expiresAt: undefined,
      frame: undefined,
    };
    const taken = acceptPublish(
      {
        ...context,
        rights: { topics, directory, access: await loadAccessDirectory(store.db, log) },
        ingest,
        announce() {},
        commands: () => assert.fail("a heartbeat is no command"),
        refusals: createRefusals({ ...context, announce() {} }),
      },
      { clientId: uid, principal: { kind: "device", id, uid, credentialId: "token" } },
      packet,
      { kind: "up", uid, type: "heartbeat" },
    );
    await assert.rejects(taken, { code });
  });
}
