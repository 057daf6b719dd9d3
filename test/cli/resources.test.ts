import assert from "node:assert/strict";
import { test } from "node:test";
import { hexahub } from "./command-line.ts";
import { startRecordingHub } from "./recording-hub.ts";

const UID = "relay-0000000001";
const DEVICE = {
  uid: UID,
  name: "Hall",
  device_class: "relay_controller",
  connection_status: "online",
  last_seen_at: null,
  model: "HX-R4",
  firmware_version: null,
  newer_field: true,
};

function against(hub: { url: string }) {
  const env = { HEXA_URL: hub.url, HEXA_TOKEN: "t" };
  return (...args: string[]) => hexahub(args, { env });
}

test("device add sends what was asked and prints the credentials on stdout, the advice on stderr", async () => {
  await using hub = await startRecordingHub(() => ({
    status: 201,
    body: {
      device: DEVICE,
      device_uid: UID,
      device_token: "hxd_secret",
      device_jwt: "a.b.c",
      mqtt_url: null,
      mqtts_url: "mqtts://127.0.0.1:8883",
      wss_url: "ws://127.0.0.1:8080/mqtt",
      topics: {},
    },
  }));
  const run = against(hub);
  const { code, stdout, stderr } = await run(
    "device",
    "add",
    "Hall",
    "--class",
    "hybrid",
    "--serial",
    "SN-1",
    "--model",
    "M",
    "--capabilities",
    '{"relays":2}',
  );
  assert.equal(code, 0);
  assert.deepEqual(hub.requests[0]?.body, {
    name: "Hall",
    device_class: "hybrid",
    model: "M",
    serial_number: "SN-1",
    capabilities: { relays: 2 },
  });
  assert.equal(
    stdout,
    `device_uid    ${UID}\ndevice_token  hxd_secret\nmqtt_url      off\nmqtts_url     mqtts://127.0.0.1:8883\nwss_url       ws://127.0.0.1:8080/mqtt\n`,
  );
  assert.match(stderr, /not shown again/);
  const json = await run("device", "add", "Hall", "--json");
  assert.equal(JSON.parse(json.stdout).device_token, "hxd_secret");
  assert.equal(json.stderr, "");
});

test("device add refuses capabilities that no device has, before anything is sent", async () => {
  await using hub = await startRecordingHub(() => ({ status: 500 }));
  for (const bad of ["{", '{"relays":99}', '{"toaster":true}'])
    assert.equal((await against(hub)("device", "add", "Hall", "--capabilities", bad)).code, 2);
  assert.equal(hub.requests.length, 0);
});

test("device list follows the pages and aligns its columns", async () => {
  await using hub = await startRecordingHub(({ path }) =>
    path.includes("cursor=next")
      ? {
          status: 200,
          body: {
            data: [{ ...DEVICE, uid: "sensor-0000000002", name: "Attic", last_seen_at: "2026-11-21T05:00:00.000Z" }],
            next_cursor: null,
          },
        }
      : { status: 200, body: { data: [DEVICE], next_cursor: "next" } },
  );
  const { code, stdout } = await against(hub)("device", "list", "--class", "hybrid", "--status", "online", "--search", "a b");
  assert.equal(code, 0);
  assert.equal(
    stdout,
    `UID                NAME   CLASS             STATUS  LAST SEEN\n${UID}   Hall   relay_controller  online  never\nsensor-0000000002  Attic  relay_controller  online  2026-11-21T05:00:00.000Z\n`,
  );
  const query = new URLSearchParams(hub.requests[0]?.path.split("?")[1]);
  assert.deepEqual(Object.fromEntries(query), { limit: "200", device_class: "hybrid", status: "online", search: "a b" });
});

test("device list stops at its limit and says that there are more", async () => {
  await using hub = await startRecordingHub(() => ({ status: 200, body: { data: [DEVICE], next_cursor: "more" } }));
  const { stdout, stderr } = await against(hub)("device", "list", "--limit", "1");
  assert.equal(stdout.trim().split("\n").length, 2);
  assert.match(stderr, /more than 1/);
  assert.equal(hub.requests.length, 1);
});

test("device show prints outputs and latest readings", async () => {
  const body = {
    device: DEVICE,
    state: { relays: [{ index: 0, state: "ON" }], lights: [{ index: 1, state: "ON", brightness: 40 }] },
    sensors: [{ key: "temperature", value: 21.5, ts: "2026-11-21T05:00:00.000Z", received_at: "x" }],
  };
  await using hub = await startRecordingHub(() => ({ status: 200, body }));
  const run = against(hub);
  const { stdout } = await run("device", "show", UID);
  for (const line of ["relay 0      ON", "light 1      ON, 40 %", "temperature  21.5  (2026-11-21T05:00:00.000Z)"])
    assert.ok(stdout.includes(line), `${line} is missing in:\n${stdout}`);
  assert.deepEqual(JSON.parse((await run("device", "show", UID, "--json")).stdout), body);
});

for (const [words, body] of [
  [["relay", "0", "on"], { command: "set_relay", relay: 0, state: "ON" }],
  [["relay", "3", "toggle"], { command: "set_relay", relay: 3, state: "TOGGLE" }],
  [["relays", "off"], { command: "set_all_relays", state: "OFF" }],
  [["light", "0", "40"], { command: "set_light", light: 0, brightness: 40 }],
  [
    ["light", "0", "on", "--brightness", "5", "--color-temp", "2700", "--transition", "1.5"],
    { command: "set_light", light: 0, state: "ON", brightness: 5, color_temp: 2700, transition: 1.5 },
  ],
  [["ir", "9000,-4500,560"], { command: "ir_send", timings: [9000, -4500, 560] }],
  [["identify"], { command: "identify" }],
  [
    ["restart", "--id", "once", "--timeout", "900", "--queue", "60"],
    { command: "restart", command_id: "once", timeout_ms: 900, queue_for_s: 60 },
  ],
  [["--raw", '{"command":"set_relay","relay":1,"state":"OFF"}'], { command: "set_relay", relay: 1, state: "OFF" }],
] as const) {
  test(`device cmd ${words.join(" ")} sends ${JSON.stringify(body)}`, async () => {
    await using hub = await startRecordingHub(() => ({
      status: 200,
      body: { command_id: "c1", status: "ok", latency_ms: 12.4, state: "ON" },
    }));
    const { code, stdout } = await against(hub)("device", "cmd", UID, ...words);
    assert.equal(code, 0);
    assert.equal(stdout, "ok in 12 ms, ON  (c1)\n");
    assert.deepEqual(
      hub.requests.map(({ method, path, body: sent }) => ({ method, path, sent })),
      [{ method: "POST", path: `/api/v1/devices/${UID}/commands`, sent: body }],
    );
  });
}

for (const words of [
  [],
  ["toast"],
  ["relay", "0"],
  ["relay", "x", "on"],
  ["relay", "0", "perhaps"],
  ["relay", "0", "on", "now"],
  ["relay", "32", "on"],
  ["light", "0"],
  ["light", "0", "101"],
  ["ir", "1,x"],
  ["restart", "now"],
  ["--raw", "{"],
  ["--raw", '{"command":"format_disk"}'],
  ["identify", "--raw", '{"command":"identify"}'],
]) {
  test(`device cmd refuses "${words.join(" ")}" before it is sent`, async () => {
    await using hub = await startRecordingHub(() => ({ status: 500 }));
    const { code, stderr } = await against(hub)("device", "cmd", UID, ...words);
    assert.equal(code, 2);
    assert.notEqual(stderr, "");
    assert.equal(hub.requests.length, 0);
  });
}

test("device readings prints times and values, and passes range and bucket on", async () => {
  await using hub = await startRecordingHub(() => ({
    status: 200,
    body: { data: [{ ts: "2026-11-21T05:00:00.000Z", value: 21.5 }], next_cursor: null },
  }));
  const { stdout } = await against(hub)("device", "readings", UID, "temperature", "--bucket", "1h", "--agg", "max");
  assert.equal(stdout, "TIME                      TEMPERATURE\n2026-11-21T05:00:00.000Z  21.5\n");
  assert.deepEqual(Object.fromEntries(new URLSearchParams(hub.requests[0]?.path.split("?")[1])), {
    device: UID,
    key: "temperature",
    limit: "1000",
    bucket: "1h",
    agg: "max",
  });
});

test("device remove asks first: without a terminal and without --yes it removes nothing", async () => {
  await using hub = await startRecordingHub(() => ({ status: 204 }));
  const run = against(hub);
  assert.equal((await run("device", "remove", UID)).code, 2);
  assert.equal(hub.requests.length, 0);
  assert.equal((await run("device", "remove", UID, "--yes")).code, 0);
  assert.deepEqual(
    hub.requests.map(({ method, path }) => `${method} ${path}`),
    [`DELETE /api/v1/devices/${UID}`],
  );
});

test("what is no device's uid is refused before anything is asked of the hub", async () => {
  await using hub = await startRecordingHub(() => ({ status: 204 }));
  const run = against(hub);
  for (const ref of ["Hall relay", "", "a/../b"])
    for (const words of [
      ["remove", ref, "--yes"],
      ["show", ref],
      ["readings", ref, "temperature"],
      ["cmd", ref, "restart"],
    ]) {
      const { code, stderr } = await run("device", ...words);
      assert.equal(code, 2, words.join(" "));
      assert.match(stderr, /is no device's uid\n.*device list/);
    }
  assert.equal(hub.requests.length, 0);
});

test("token create prints the token alone, so that a script can take it", async () => {
  await using hub = await startRecordingHub(() => ({ status: 201, body: { id: "t1", token: "hxs_secret" } }));
  const { stdout } = await against(hub)("token", "create", "home-assistant", "--expires-in", "30");
  assert.equal(stdout, "hxs_secret\n");
  assert.deepEqual(hub.requests[0]?.body, { kind: "service", name: "home-assistant", expires_in_s: 2_592_000 });
});

test("token create passes on what the token is limited to", async () => {
  await using hub = await startRecordingHub(() => ({ status: 201, body: { id: "t1", token: "hxp_secret" } }));
  const limits = ["--permission", "device.read", "device.control", "--device", UID];
  assert.equal((await against(hub)("token", "create", "reader", "--kind", "personal", ...limits)).code, 0);
  assert.deepEqual(hub.requests[0]?.body, {
    kind: "personal",
    name: "reader",
    permissions: ["device.read", "device.control"],
    devices: [UID],
  });
});

test("token list shows what ended and what is limited, page after page; token revoke ends one", async () => {
  const token = { id: "t1", kind: "service", name: "ha", expires_at: null, revoked_at: null, last_used_at: null };
  const limited = { ...token, id: "t3", permissions: ["device.read"], devices: ["d1", "d2"] };
  await using hub = await startRecordingHub(({ method, path }) => {
    if (method === "DELETE") return { status: 204 };
    return path.includes("cursor=t2")
      ? { status: 200, body: { data: [limited], next_cursor: null } }
      : { status: 200, body: { data: [token, { ...token, id: "t2", revoked_at: "2026-11-21T05:00:00.000Z" }], next_cursor: "t2" } };
  });
  const run = against(hub);
  assert.equal(
    (await run("token", "list")).stdout,
    [
      "ID  KIND     NAME  LIMITED TO              ENDS     LAST USED",
      "t1  service  ha    nothing                 never    never",
      "t2  service  ha    nothing                 revoked  never",
      "t3  service  ha    device.read, 2 devices  never    never",
      "",
    ].join("\n"),
  );
  assert.deepEqual(JSON.parse((await run("token", "revoke", "t1", "--json")).stdout), { id: "t1", revoked: true });
});

test("keys list shows which key does what, keys rotate says when the next one signs", async () => {
  const key = { kid: "k1", purpose: "user_jwt", state: "active", activates_at: "2026-11-21T05:00:00.000Z", retired_at: null };
  await using hub = await startRecordingHub(({ method }) =>
    method === "GET" ? { status: 200, body: { data: [key] } } : { status: 202, body: { signing_key: { ...key, state: "next" } } },
  );
  const run = against(hub);
  assert.equal(
    (await run("keys", "list")).stdout,
    "KID  PURPOSE   STATE   SIGNS FROM                UNTIL\nk1   user_jwt  active  2026-11-21T05:00:00.000Z  -\n",
  );
  assert.equal((await run("keys", "rotate", "--purpose", "device_jwt")).stdout, "k1 signs from 2026-11-21T05:00:00.000Z on\n");
  assert.deepEqual(
    hub.requests.map(({ method, path, body }) => [method, path, body]),
    [
      ["GET", "/api/v1/signing-keys", undefined],
      ["POST", "/api/v1/signing-keys/rotate", { purpose: "device_jwt" }],
    ],
  );
  assert.equal((await run("keys", "rotate", "--purpose", "master")).code, 2);
});

test("encryption rotate shows how far it is, on stderr, until nothing is under the former key", async () => {
  const progress = (state: string, done: number) => ({ state, key_id: "k2", key_created_at: null, total: 40, done, unreadable: 0 });
  const answers = [progress("rotating", 0), progress("rotating", 20), progress("idle", 40)];
  await using hub = await startRecordingHub(({ method }) => ({ status: method === "POST" ? 202 : 200, body: answers.shift() }));
  const { code, stdout, stderr } = await against(hub)("encryption", "rotate");
  assert.equal(code, 0);
  assert.equal(stderr, "0 of 40\n20 of 40\n");
  assert.equal(stdout, "state       idle\nkey         k2\nencrypted   40 of 40 under this key\nunreadable  0\n");
  assert.deepEqual(
    hub.requests.map(({ method, path }) => `${method} ${path}`),
    ["POST /api/v1/encryption/rotate", "GET /api/v1/encryption", "GET /api/v1/encryption"],
  );
});

test("encryption status before the first use", async () => {
  const body = { state: "idle", key_id: null, key_created_at: null, total: 0, done: 0, unreadable: 0 };
  await using hub = await startRecordingHub(() => ({ status: 200, body }));
  assert.match((await against(hub)("encryption", "status")).stdout, /^key +none yet$/m);
  assert.deepEqual(JSON.parse((await against(hub)("encryption", "status", "--json")).stdout), body);
});

test("demo start, status and stop", async () => {
  const devices = [{ uid: "light-0000000001", name: "Ceiling", connected: true }];
  await using hub = await startRecordingHub(({ method }) => ({
    status: 200,
    body: method === "DELETE" ? { removed: 6 } : method === "GET" ? { devices: [] } : { devices },
  }));
  const run = against(hub);
  assert.equal((await run("demo", "start")).stdout, "UID               NAME     CONNECTION\nlight-0000000001  Ceiling  connected\n");
  assert.match((await run("demo", "status")).stdout, /demo start/);
  assert.equal((await run("demo", "stop")).stdout, "6 demo devices removed\n");
  assert.deepEqual(
    hub.requests.map(({ method, path }) => `${method} ${path}`),
    ["POST /api/v1/demo", "GET /api/v1/demo", "DELETE /api/v1/demo"],
  );
});

test("an answer of another shape is a failure, not a table of undefined", async () => {
  await using hub = await startRecordingHub(() => ({ status: 200, body: { items: [] } }));
  const { code, stderr } = await against(hub)("device", "list");
  assert.equal(code, 1);
  assert.match(stderr, /another release/);
});
