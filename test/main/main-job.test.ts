import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { SetupError } from "../../core/errors.ts";
import { startVirtualDevice } from "../../firmware/virtual/device.ts";
import { databases } from "../support/databases.ts";
import { PROVISION_KEY, startHub } from "../support/hub.ts";
import { freshDatabase, postgresMissing, startPostgres } from "../support/services.ts";
import { until } from "../support/wait.ts";

interface Registration {
  device_uid: string;
  device_token: string;
  device_jwt: string;
  claim_code: string;
  mqtts_url: string;
}

for (const { name, skip, open } of databases()) {
  test(`${name}: a device enrols, is claimed, reports, obeys and leaves an audit trail`, { skip }, async () => {
    await using database = await open();
    await using hub = await startHub({ databaseUrl: database.url });
    const ca = await readFile(hub.ca, "utf8");
    const { api } = hub;

    const enrolled = await api.call<Registration>(
      "POST",
      "/api/v1/provision/register",
      { name: "Hall", device_class: "relay_controller", serial_number: "HX-1" },
      { "x-provision-key": PROVISION_KEY },
    );
    assert.equal(enrolled.status, 201);
    const { device_uid: uid, device_token: password, device_jwt: jwt, claim_code } = enrolled.body;
    assert.equal(enrolled.body.mqtts_url, hub.mqtts);

    await using device = await startVirtualDevice({
      url: hub.mqtts,
      ca,
      uid,
      password,
      deviceClass: "relay_controller",
      protocolVersion: 5,
    });
    await device.sendTelemetry({ temperature: 19.5 }, Date.now() - 60_000);

    await api.login();
    const early = await api.call("POST", `/api/v1/devices/${uid}/commands`, { command: "set_relay", relay: 0, state: "ON" });
    assert.deepEqual([early.status, early.body["code"]], [409, "device_not_claimed"]);

    assert.equal((await api.call("POST", "/api/v1/devices/claim", { claim_code })).status, 200);
    const answer = await api.call<{ status: string; state: string; latency_ms: number; command_id: string }>(
      "POST",
      `/api/v1/devices/${uid}/commands`,
      { command: "set_relay", relay: 2, state: "ON", command_id: "first" },
    );
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    assert.deepEqual([answer.body.command_id, answer.body.status, answer.body.state], ["first", "ok", "ON"]);
    assert.ok(answer.body.latency_ms >= 0);
    assert.deepEqual(
      device.executed.map((one) => one.commandId),
      ["first"],
    );

    const again = await api.call<{ status: string; state: string }>("POST", `/api/v1/devices/${uid}/commands`, {
      command: "set_relay",
      relay: 2,
      state: "ON",
      command_id: "first",
    });
    assert.deepEqual([again.status, again.body.state], [200, "ON"]);
    assert.equal(device.executed.length, 1);

    await device.sendTelemetry({ temperature: 20.5 });
    const readings = await api.call<{ data: { value: number }[] }>("GET", `/api/v1/readings?device=${uid}&key=temperature`);
    assert.deepEqual(
      readings.body.data.map(({ value }) => value),
      [19.5, 20.5],
    );

    await device.setRelayLocally(1, "ON");
    const seen = await until(
      async () => {
        const { body } = await api.call<{ data: { action: string; actor: { kind: string } }[] }>("GET", "/api/v1/audit?limit=100");
        return body.data.some((entry) => entry.action === "state.reconciled") && body.data;
      },
      { what: "the audit of the reconciled relay" },
    );
    const actions = seen.map((entry) => entry.action);
    for (const action of ["device.create", "device.claim", "command.ok", "state.reconciled"])
      assert.ok(actions.includes(action), `${action} is missing in ${actions.join()}`);

    await device.disconnect();
    await using byJwt = await startVirtualDevice({ url: hub.ws, uid, password: jwt, deviceClass: "relay_controller", protocolVersion: 4 });
    assert.equal(byJwt.connected, true);
  });
}

test("PostgreSQL: a second hub on the same database is refused, and the next one starts when the first is gone", {
  skip: postgresMissing(),
}, async () => {
  await using server = await startPostgres();
  const options = { databaseUrl: await freshDatabase(server), env: { HEXA_MASTER_KEY: "5a".repeat(32) } };
  {
    await using _first = await startHub(options);
    await assert.rejects(startHub(options), (error: unknown) => error instanceof SetupError && /in use by another hub/.test(error.message));
  }
  await using next = await startHub(options);
  assert.equal((await fetch(`${next.http}/health`)).status, 200);
});
