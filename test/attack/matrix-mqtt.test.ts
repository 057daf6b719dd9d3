import assert from "node:assert/strict";
import { describe, test } from "node:test";
import mqtt, { type IClientOptions, type MqttClient } from "mqtt";
import { startVirtualDevice, type VirtualDevice } from "../../firmware/virtual/device.ts";
import { newId } from "../../core/id.ts";
import { deviceRolePermissions, type Permission, permissionSet, rolePermissions } from "../../core/permissions.ts";
import { databases } from "../support/databases.ts";
import { until } from "../support/wait.ts";
import { type Cast, type DeviceOf, PEOPLE, type PersonName, startCast } from "./matrix-cast.ts";

/** Whose device or organisation a topic names; `granted` is one of `ours` that the guest may operate and the limited token read. */
const PLACES = ["granted", "ours", "theirs", "missing"] as const;
type Place = (typeof PLACES)[number];

const REFUSED = 0x87;
const SETS = [
  ["relay/0/set", "OFF"],
  ["light/0/set", '{"state":"ON"}'],
  ["ir/send", '{"timings":[100,-100]}'],
] as const;
/** Nobody but the device or the hub says these. */
const CLOSED = [
  "availability",
  "relay/0/state",
  "light/0/state",
  "sensor/power/state",
  "up/telemetry",
  "up/state_report",
  "up/ack",
  "down/command",
  "down/config",
  "x/y",
] as const;
const READABLE = ["availability", "relay/0/state", "relay/0/set", "sensor/power/state", "sensor/+/state", "up/telemetry", "up/#", "#", "+"];
const WIDE = [
  "#",
  "+/#",
  "hexa/#",
  "hexa/+/#",
  "hexa/+/relay/+/state",
  "hexa/+/sensor/#",
  "hexa/+/up/+",
  "+/+/availability",
  "hexa-app/#",
  "hexa-app/+/events/#",
  "homeassistant/#",
];

function may(who: PersonName, permission: Permission, place: Place): boolean {
  if (place === "missing") return false;
  if (who === "root") return true;
  if (who === "guest" || who === "scoped")
    return place === "granted" && (deviceRolePermissions(who === "guest" ? "operator" : "viewer") & permissionSet([permission])) !== 0;
  const isInside = (who === "stranger") === (place === "theirs");
  return isInside && (rolePermissions(who === "stranger" ? "owner" : who) & permissionSet([permission])) !== 0;
}
/** A grant is on a device only, and an administrator of the hub is not asked which organisations there are. */
const mayInOrganization = (who: PersonName, permission: Permission, place: Place): boolean =>
  who === "root" || may(who, permission, place === "granted" ? "ours" : place);
/** Whether the person is in the place's organisation at all. */
const isInside = (who: PersonName, place: Place): boolean =>
  who === "root" || (place !== "missing" && (who === "stranger") === (place === "theirs"));

for (const { name, skip, open } of databases()) {
  describe(`${name}: every topic, whoever asks, in whatever way`, { skip }, () => {
    test("is open to who has the permission, and to nobody else", { timeout: 300_000 }, async (context) => {
      await using database = await open();
      await using cast = await startCast(database.url, { HEXA_MQTT_PUBLISH_RATE: "0" });
      await using stage = await openStage(cast);
      const counts = {
        publishes: await publishAll(stage),
        subscriptions: await subscribeAll(stage),
        wills: await leaveWills(stage),
        takeOvers: await takeOver(stage),
        deliveries: await deliverAll(stage),
      };
      context.diagnostic(JSON.stringify(counts));
      const attempts = Object.values(counts).reduce((sum, count) => sum + count, 0);
      assert.ok(attempts >= 3_000, `${attempts}`);
    });
  });
}

interface Stage extends AsyncDisposable {
  readonly cast: Cast;
  readonly devices: Readonly<Record<Place, Pick<DeviceOf, "uid">>>;
  readonly organizations: Readonly<Record<Place, string>>;
  readonly virtual: Readonly<Record<"granted" | "ours" | "theirs", VirtualDevice>>;
  /** What somebody hears is gathered from before the connection on. */
  readonly connect: (who: PersonName, options?: IClientOptions) => Promise<{ client: MqttClient; heard: string[] }>;
}

async function openStage(cast: Cast): Promise<Stage> {
  await using stack = new AsyncDisposableStack();
  const devices = {
    granted: cast.granted,
    ours: await cast.addDevice("ours"),
    theirs: await cast.addDevice("theirs"),
    missing: { uid: "relay-doesnotexist" },
  };
  const start = async ({ uid, token }: DeviceOf): Promise<VirtualDevice> =>
    stack.use(await startVirtualDevice({ url: cast.hub.mqtt, uid, password: token, deviceClass: "relay_controller", protocolVersion: 5 }));
  const virtual = { granted: await start(devices.granted), ours: await start(devices.ours), theirs: await start(devices.theirs) };
  const clients = stack.use(new AsyncDisposableStack());
  const owned = stack.move();
  return {
    cast,
    devices,
    organizations: { granted: cast.ours, ours: cast.ours, theirs: cast.theirs, missing: newId() },
    virtual,
    async connect(who, options = {}) {
      const { email: username, token: password } = cast.people[who];
      const client = mqtt.connect(cast.hub.mqtt, { protocolVersion: 5, username, password, reconnectPeriod: 0, ...options });
      clients.adopt(client, (one) => one.endAsync(true));
      const heard: string[] = [];
      client.on("message", (topic, payload) => heard.push(`${topic} ${payload.toString()}`));
      await new Promise((resolve, reject) => void client.once("connect", resolve).once("error", reject));
      return { client, heard };
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** MQTT.js gives a refused filter no code. */
const codeOf = (error: unknown): number => (error as { code?: number }).code ?? 128;

async function publishAll({ devices, organizations, connect }: Stage): Promise<number> {
  let attempts = 0;
  for (const who of PEOPLE) {
    const { client } = await connect(who);
    const publish = async (topic: string, payload: string, isAllowed: boolean): Promise<void> => {
      for (const qos of [1, 2] as const) {
        attempts++;
        const code = await client.publishAsync(topic, payload, { qos }).then(() => 0, codeOf);
        assert.equal(code === REFUSED, !isAllowed, `${who}: PUBLISH ${topic} at QoS ${qos} was answered ${code}`);
      }
    };
    for (const place of PLACES) {
      const { uid } = devices[place];
      for (const [rest, payload] of SETS) await publish(`hexa/${uid}/${rest}`, payload, may(who, "device.control", place));
      for (const rest of CLOSED) await publish(`hexa/${uid}/${rest}`, "x", false);
      const organization = organizations[place];
      await publish(`hexa-app/${organization}/bus/bell`, "x", mayInOrganization(who, "bus.publish", place));
      for (const rest of ["events/device.online", "users/me/notifications", "bus", "x"])
        await publish(`hexa-app/${organization}/${rest}`, "x", false);
    }
    for (const topic of ["$SYS/broker/uptime", "$hub/directory", "$hub/access", "homeassistant/status", "private/x", "hexa"])
      await publish(topic, "x", false);
    await client.endAsync(true);
  }
  return attempts;
}

async function subscribeAll({ devices, organizations, connect }: Stage): Promise<number> {
  let attempts = 0;
  for (const who of PEOPLE) {
    const { client } = await connect(who);
    const subscribe = async (filter: string, isAllowed: boolean): Promise<void> => {
      for (const one of [filter, `$share/group/${filter}`]) {
        attempts++;
        const code = await client.subscribeAsync(one, { qos: 1 }).then((granted) => granted[0]?.qos ?? -1, codeOf);
        assert.equal(code >= 128, !isAllowed, `${who}: SUBSCRIBE ${one} was answered ${code}`);
        if (code < 128) await client.unsubscribeAsync(one);
      }
    };
    for (const place of PLACES) {
      for (const rest of READABLE) await subscribe(`hexa/${devices[place].uid}/${rest}`, may(who, "device.read", place));
      for (const rest of ["#", "events/#", "bus/+", "users/+/notifications"])
        await subscribe(`hexa-app/${organizations[place]}/${rest}`, isInside(who, place));
    }
    for (const filter of WIDE) await subscribe(filter, true);
    for (const filter of ["$hub/#", "$hub/access", "private/#"]) await subscribe(filter, false);
    await subscribe("$SYS/#", who === "root");
    await client.endAsync(true);
  }
  return attempts;
}

/** A will that its sender may not say is refused at CONNECT. */
async function leaveWills({ devices, organizations, connect }: Stage): Promise<number> {
  let attempts = 0;
  for (const who of PEOPLE)
    for (const place of PLACES)
      for (const [topic, isAllowed] of [
        [`hexa/${devices[place].uid}/availability`, false],
        [`hexa/${devices[place].uid}/relay/0/state`, false],
        [`hexa/${devices[place].uid}/up/telemetry`, false],
        [`hexa-app/${organizations[place]}/events/device.offline`, false],
        [`hexa-app/${organizations[place]}/bus/gone`, mayInOrganization(who, "bus.publish", place)],
      ] as const) {
        attempts++;
        const will = { topic, payload: Buffer.from("x"), qos: 1 as const, retain: false };
        const outcome = await connect(who, { will }).then(
          async ({ client }) => client.endAsync(true).then(() => "connected"),
          (error: unknown) => `refused with ${codeOf(error)}`,
        );
        assert.equal(outcome === "connected", isAllowed, `${who}: a will on ${topic}: ${outcome}`);
      }
  return attempts;
}

/** Somebody else's client id, live and stored, and that of a device. */
async function takeOver({ devices, connect }: Stage): Promise<number> {
  let attempts = 0;
  const stored = { clean: false, properties: { sessionExpiryInterval: 600 } };
  for (const owner of PEOPLE) {
    const clientId = `session-of-${owner}`;
    const live = await connect(owner, { ...stored, clientId });
    for (const isLive of [true, false]) {
      if (!isLive) await live.client.endAsync();
      for (const who of PEOPLE) {
        if (who === owner) continue;
        attempts++;
        const outcome = await connect(who, { ...stored, clientId }).then(() => "connected", codeOf);
        assert.equal(typeof outcome, "number", `${who} took the session of ${owner}`);
        if (isLive) assert.ok(live.client.connected, `${who} ended the session of ${owner}`);
      }
    }
  }
  for (const who of PEOPLE)
    for (const place of ["granted", "ours", "theirs"] as const) {
      attempts++;
      const outcome = await connect(who, { clientId: devices[place].uid }).then(() => "connected", codeOf);
      assert.equal(typeof outcome, "number", `${who} came as a device`);
    }
  return attempts;
}

/** Live, retained, queued and shared messages: everybody hears what he may and nothing else, through whatever filter. */
async function deliverAll({ cast, devices, organizations, virtual, connect }: Stage): Promise<number> {
  const places = ["granted", "ours", "theirs"] as const;
  let mark = 0;
  async function stir(): Promise<void> {
    mark++;
    for (const place of places) {
      await virtual[place].sendTelemetry({ power: mark });
      await virtual[place].setRelayLocally(0, mark % 2 === 0 ? "ON" : "OFF");
      await virtual[place].send("input_event", { input: 0, event: "press" });
    }
    for (const [who, place] of [
      ["owner", "ours"],
      ["stranger", "theirs"],
    ] as const) {
      const { client } = await connect(who);
      await client.publishAsync(`hexa-app/${organizations[place]}/bus/mark`, String(mark), { qos: 1 });
      await client.endAsync(true);
    }
  }
  const placeOf = (topic: string): { place: Place; permission: Permission } | undefined => {
    const device = places.find((place) => topic.startsWith(`hexa/${devices[place].uid}/`));
    if (device) return { place: device, permission: "device.read" };
    if (topic.startsWith(`hexa-app/${cast.ours}/`)) return { place: "ours", permission: "device.read" };
    return topic.startsWith(`hexa-app/${cast.theirs}/`) ? { place: "theirs", permission: "device.read" } : undefined;
  };

  let attempts = 0;
  const everybody = new Map<PersonName, { heard: string[]; grouped: string[]; client: MqttClient }>();
  const session = (who: PersonName) => ({ clientId: `reader-${who}`, clean: false, properties: { sessionExpiryInterval: 600 } });
  for (const who of PEOPLE) {
    const { client, heard } = await connect(who, session(who));
    for (const filter of WIDE) await client.subscribeAsync(filter, { qos: 1 });
    const member = await connect(who);
    await member.client.subscribeAsync("$share/readers/hexa/#", { qos: 1 });
    everybody.set(who, { heard, grouped: member.heard, client });
  }
  const check = async (what: string, rest: string): Promise<void> => {
    for (const [who, { heard }] of everybody)
      for (const place of places) {
        const last = `hexa/${devices[place].uid}/${rest}`.replace("MARK", String(mark));
        if (may(who, "device.read", place)) await until(() => heard.includes(last), { what: `${what}: ${who} to hear of ${place}` });
      }
    for (const [who, { heard, grouped }] of everybody)
      for (const line of [...heard, ...grouped]) {
        attempts++;
        const about = placeOf(line.slice(0, line.indexOf(" ")));
        if (about) assert.ok(may(who, about.permission, about.place), `${what}: ${who} heard ${line}`);
      }
  };
  for (let round = 0; round < 5; round++) await stir();
  await check("live", "sensor/power/state MARK");
  for (const { client } of everybody.values()) await client.endAsync();
  await stir();
  for (const who of PEOPLE) {
    const { client, heard } = await connect(who, session(who));
    everybody.set(who, { client, heard, grouped: [] });
  }
  await check("queued", `up/telemetry {"values":{"power":MARK}}`);
  for (const who of PEOPLE) {
    const { client, heard } = await connect(who);
    for (const filter of WIDE) await client.subscribeAsync(filter, { qos: 1 });
    everybody.set(who, { client, heard, grouped: [] });
  }
  await check("retained", "sensor/power/state MARK");
  return attempts;
}
