import assert from "node:assert/strict";
import { HOUR_MS, MINUTE_MS } from "../../core/durations.ts";
import { DEMO_DEVICES, newDemoMemory } from "../../firmware/virtual/demo-home.ts";
import type { TestHub } from "./hub.ts";
import { until } from "./wait.ts";

/** Ids of what has a page of its own; devices by their uid. */
export interface FurnishedHome {
  readonly meter: string;
  readonly climate: string;
  readonly automation: string;
  readonly schedule: string;
  readonly alert: string;
  readonly alertRule: string;
  readonly task: string;
  readonly template: string;
  readonly webhook: string;
  readonly event: string;
}

type Call = <T = Record<string, unknown>>(method: string, path: string, body?: object) => Promise<T>;
type Uids = Readonly<Record<"relays" | "light" | "climate" | "presence" | "meter", string>>;

const PAST_MS = 14 * HOUR_MS;
const STEP_MS = 2 * MINUTE_MS;
const ON = { command: "set_relay", relay: 0, state: "ON" };
const OFF = { ...ON, state: "OFF" };

/** The demo home, as if people had lived in it for a while. Made by the API, as they would. */
export async function furnishHome(hub: TestHub, hookUrl: string): Promise<FurnishedHome> {
  const call: Call = async <T>(method: string, path: string, body?: object) => {
    const answer = await hub.api.call<T>(method, `/api/v1/${path}`, body);
    assert.ok(answer.status < 300, `${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  };
  const uids = await moveIn(call);
  await importPast(hub, uids);
  await invite(call);
  await makeScenes(call, uids);
  const { webhook } = await call<Made<"webhook">>("POST", "webhooks", {
    name: "House log",
    url: hookUrl,
    events: ["alert.*", "automation.*", "device.*"],
  });
  await call("POST", "inbound-hooks", { name: "Door bell", scheme: "token" });
  await call("POST", "bridges/home_assistant/account", {});
  const template = await makeTemplate(call);
  const alerts = await makeAlerts(call, uids);
  const schedule = await makeSchedules(call, uids);
  const automation = await makeAutomations(call, uids);
  await liveIn(call, uids, automation);
  await call("POST", `schedules/${schedule}/run`);
  const task = await makeTasks(call, uids, template);
  return {
    meter: uids.meter,
    climate: uids.climate,
    automation,
    schedule,
    ...alerts,
    task,
    template,
    webhook: webhook.id,
    event: await newestRun(call),
  };
}

type Made<Name extends string> = Readonly<Record<Name, { readonly id: string }>>;

async function moveIn(call: Call): Promise<Uids> {
  const { organization_id: organization } = await call<{ organization_id: string }>("GET", "auth/me");
  await call("PATCH", `organizations/${organization}`, { name: "Lake house" });
  await call("PATCH", "auth/me", { name: "Ada Keller" });
  const { site } = await call<Made<"site">>("POST", "sites", {
    name: "Lake house",
    time_zone: "Europe/Zurich",
    latitude: 47.36,
    longitude: 8.55,
  });
  const { devices } = await call<{ devices: { uid: string; name: string }[] }>("POST", "demo");
  const uidOf = (name: string) => devices.find((one) => one.name === name)?.uid ?? assert.fail(name);
  for (const [name, at] of [
    ["Living room", /^Living room/],
    ["Kitchen", /^Kitchen/],
    ["Bedroom", /^Bedroom/],
    ["Hall", /^(?:Hall|Energy)/],
  ] as const) {
    const { room } = await call<Made<"room">>("POST", "rooms", { name, site_id: site.id });
    for (const { uid } of devices.filter((one) => at.test(one.name))) await call("PATCH", `devices/${uid}`, { room_id: room.id });
  }
  const garage = await call<{ device_uid: string }>("POST", "devices", { name: "Garage door", device_class: "relay_controller" });
  await call("PATCH", `devices/${garage.device_uid}`, { sensitivity: "critical" });
  await call("POST", "devices", { name: "Garden weather", device_class: "sensor_hub" });
  return {
    relays: uidOf("Living room relays"),
    light: uidOf("Kitchen light"),
    climate: uidOf("Bedroom climate"),
    presence: uidOf("Hall presence"),
    meter: uidOf("Energy meter"),
  };
}

/** What its devices would have said until now. */
async function importPast({ http, api }: TestHub, uids: Uids): Promise<void> {
  const now = Date.now();
  const known = new Map(Object.entries({ "bedroom-climate": uids.climate, "hall-presence": uids.presence, "energy-meter": uids.meter }));
  const lines = DEMO_DEVICES.flatMap((device) => {
    const uid = known.get(device.slug);
    if (uid === undefined) return [];
    const memory = newDemoMemory();
    return Array.from({ length: PAST_MS / STEP_MS - 1 }, (_, step) => now - PAST_MS + step * STEP_MS).flatMap((ts) => {
      const values = Object.entries(device.sample(ts, memory));
      memory.sampledAt = ts;
      return values.map(([key, value]) => JSON.stringify({ device: uid, key, ts: new Date(ts).toISOString(), value }));
    });
  });
  const answer = await fetch(`${http}/api/v1/readings/import`, {
    method: "POST",
    headers: { authorization: `Bearer ${api.token}`, "content-type": "application/x-ndjson" },
    body: `${lines.join("\n")}\n`,
  });
  const { import: done } = (await answer.json()) as { import: { refused: number } };
  assert.deepEqual([answer.status, done.refused], [200, 0]);
}

async function invite(call: Call): Promise<void> {
  const { organization_id: organization } = await call<{ organization_id: string }>("GET", "auth/me");
  for (const [name, role] of [
    ["grace", "operator"],
    ["luca", "viewer"],
    ["noa", null],
  ] as const) {
    const invited = await call<{ token: string }>("POST", `organizations/${organization}/invitations`, {
      email: `${name}@example.test`,
      role,
    });
    if (name !== "noa")
      await call("POST", "invitations/register", { token: invited.token, password: `a password of ${name}`, name: capital(name) });
  }
}

const capital = (name: string): string => name.charAt(0).toUpperCase() + name.slice(1);

async function makeScenes(call: Call, { relays, light }: Uids): Promise<void> {
  await call("POST", "scenes", {
    name: "Film evening",
    description: "Dark, but for the kitchen",
    commands: [
      { device: relays, command: OFF },
      { device: light, command: { command: "set_light", light: 0, state: "ON", brightness: 20 } },
    ],
  });
  await call("POST", "scenes", {
    name: "Good night",
    commands: [
      { device: relays, command: { command: "set_all_relays", state: "OFF" } },
      { device: light, command: { command: "set_light", light: 0, state: "OFF" } },
    ],
  });
}

async function makeTemplate(call: Call): Promise<string> {
  await call("POST", "templates", { name: "Everything off", category: "lighting", actions: [{ command: "set_all_relays", state: "OFF" }] });
  const { template } = await call<Made<"template">>("POST", "templates", {
    name: "Lamp of an evening",
    description: "One lamp of a room",
    category: "lighting",
    tags: ["evening"],
    actions: [{ command: "set_relay", relay: "{{lamp}}", state: "{{state}}" }],
    variables: [
      { name: "lamp", type: "integer", min: 0, max: 31, default: 1, label: "Relay of the lamp" },
      { name: "state", type: "enum", values: ["ON", "OFF"], default: "ON" },
    ],
  });
  return template.id;
}

async function makeAlerts(call: Call, { climate, meter }: Uids): Promise<{ readonly alert: string; readonly alertRule: string }> {
  const { rule } = await call<Made<"rule">>("POST", "alert-rules", {
    name: "Too warm to sleep",
    condition: { kind: "threshold", key: "temperature", above: 26 },
    severity: "warning",
    device: climate,
    for_s: 300,
  });
  await call("POST", "alert-rules", {
    name: "The meter is silent",
    condition: { kind: "absence", key: "power" },
    severity: "critical",
    device: meter,
    for_s: 600,
  });
  const raise = async (title: string, severity: string, more = {}) =>
    (await call<Made<"alert">>("POST", "alerts", { title, severity, ...more })).alert.id;
  await call("POST", `alerts/${await raise("The door bell’s battery is low", "info")}/resolve`, {});
  await raise("The cellar is damp", "warning");
  const alert = await raise("More power than the fuse bears", "critical", {
    device: meter,
    key: "power",
    values: { power: 3720.5 },
    description: "Turn something off in the kitchen.",
  });
  await call("POST", `alerts/${alert}/acknowledge`, {});
  return { alert, alertRule: rule.id };
}

async function makeSchedules(call: Call, { relays, light }: Uids): Promise<string> {
  const { schedule } = await call<Made<"schedule">>("POST", "schedules", {
    name: "Garden lights",
    description: "From dusk, on all days",
    recurrence: { kind: "cron", expression: "30 18 * * *" },
    device: relays,
    command: { ...ON, relay: 2 },
    time_zone: "Europe/Zurich",
  });
  await call("POST", "schedules", {
    name: "Wake up",
    recurrence: { kind: "cron", expression: "45 6 * * MON,TUE,WED,THU,FRI" },
    device: light,
    command: { command: "set_light", light: 0, state: "ON", brightness: 40 },
    time_zone: "Europe/Zurich",
  });
  await call("POST", "schedules", {
    name: "Holiday lamp",
    is_active: false,
    recurrence: { kind: "sun", event: "sunset", offset_s: 1200, latitude: 47.36, longitude: 8.55 },
    device: relays,
    command: { ...ON, relay: 3 },
    time_zone: "Europe/Zurich",
  });
  return schedule.id;
}

async function makeAutomations(call: Call, { relays, meter, presence, climate }: Uids): Promise<string> {
  const { automation } = await call<Made<"automation">>("POST", "automations", {
    name: "Light when the oven is on",
    triggers: [{ kind: "telemetry", device: meter, key: "power", above: 1_000, hysteresis: 100 }],
    condition: { kind: "time_window", from: "00:00", to: "23:59" },
    actions: [
      { kind: "command", device: relays, command: ON },
      { kind: "notify", title: "The oven is on", severity: "info" },
    ],
  });
  await call("POST", "automations", {
    name: "Somebody is in the hall",
    triggers: [{ kind: "telemetry", device: presence, key: "illuminance", below: 10 }],
    condition: { kind: "time_window", from: "18:00", to: "07:00" },
    actions: [{ kind: "command", device: relays, command: { ...ON, relay: 1 } }],
  });
  await call("POST", "automations", {
    name: "Air the bedroom",
    is_enabled: false,
    triggers: [{ kind: "telemetry", device: climate, key: "humidity", above: 65, for_s: 600 }],
    actions: [{ kind: "notify", title: "Open a window", severity: "info" }],
  });
  return automation.id;
}

/** The oven goes on and off, so that something has happened. */
async function liveIn(call: Call, { meter, relays, light }: Uids, automation: string): Promise<void> {
  const power = async () =>
    (await call<{ data: { value: number }[] }>("GET", `readings/latest?device=${meter}&key=power`)).data[0]?.value ?? 0;
  const command = (uid: string, body: object) => call("POST", `devices/${uid}/commands`, body);
  for (const times of [1, 2]) {
    await command(meter, ON);
    const ran = () => call<{ data: { status: string }[] }>("GET", `automations/${automation}/runs`);
    await until(async () => (await ran()).data.filter(({ status }) => status === "ok").length >= times, {
      what: "the automation to have run",
    });
    await command(meter, OFF);
    await until(async () => (await power()) < 500, { what: "the oven to be off" });
  }
  await command(light, { command: "set_light", light: 0, state: "ON", brightness: 65 });
  await command(relays, { ...ON, relay: 2 });
  await call("POST", "events", { type: "custom.dinner", data: { guests: 4 } });
}

async function makeTasks(call: Call, { relays }: Uids, template: string): Promise<string> {
  const { data } = await call<{ data: { uid: string }[] }>("GET", "devices?search=Garage");
  const garage = data[0]?.uid ?? assert.fail();
  const { task } = await call<Made<"task">>("POST", "tasks", {
    device: relays,
    name: "Light the table",
    template: { id: template, variables: { lamp: 1 } },
    tags: ["evening"],
  });
  await until(async () => (await call<{ task: { status: string } }>("GET", `tasks/${task.id}`)).task.status === "completed", {
    what: "the table to be lit",
  });
  await call("POST", "tasks", { device: garage, name: "Let the plumber in", actions: [ON], priority: 7, tags: ["visit"] });
  await call("POST", "tasks", { device: garage, name: "Open for the delivery", actions: [ON], draft: true });
  return task.id;
}

/** Something with a cause, and with what followed from it. */
async function newestRun(call: Call): Promise<string> {
  const { data } = await call<{ data: { id: string }[] }>("GET", "events?type=automation.fired&limit=1");
  return data[0]?.id ?? assert.fail("nothing has fired");
}
