import { startVirtualDevice } from "../../firmware/virtual/device.ts";
import { direct, directive, errorIn } from "../support/alexa-directives.ts";
import { type Code, HomeController } from "../support/home-controller.ts";
import { startHomeAssistant } from "../support/home-assistant.ts";
import { HOMEKIT } from "../support/homekit-hub.ts";
import { until } from "../support/wait.ts";
import { createHistogram, type Histogram } from "./histogram.ts";
import { type HubProcess, startHubProcess } from "./hub-process.ts";
import type { Row } from "./report.ts";
import { rssBytes } from "./rss.ts";
import type { Plan } from "./stage.ts";

/** Of each side in each run. */
const COMMANDS = 100;
/** HomeKit writes to one output only so often; in turns they are never so soon. */
const RELAYS = 16;
/** As many as one bridge of HomeKit takes. */
const ACCESSORIES = 149;
const DEVICES = 1_000;
const LIMIT_MS = 60_000;
const SECOND_MS = 1_000;
const MEBIBYTE = 2 ** 20;

const SIDES = ["REST", "Home Assistant", "HomeKit", "Alexa"] as const;
type Side = (typeof SIDES)[number];
/** Turns one relay on or off. */
type Turn = (relay: number, isOn: boolean) => Promise<unknown>;

/** The same commands through each smart home and over REST, in turns; what a home of 1,000 devices takes; what HomeKit weighs. */
export async function measureHomes({ runs }: Plan): Promise<Row[]> {
  return [...(await measureSides(runs * COMMANDS)), ...(await measureDiscovery())];
}

async function measureSides(rounds: number): Promise<Row[]> {
  await using stack = new AsyncDisposableStack();
  const hub = stack.use(await startHubProcess(undefined, HOMEKIT));
  const capabilities = { relays: RELAYS };
  const made = await hub.post("/api/v1/devices", { name: "bench", device_class: "relay_controller", capabilities });
  const device = stack.use(
    await startVirtualDevice({
      url: urlOf(hub),
      uid: String(made.device_uid),
      password: String(made.device_token),
      deviceClass: "relay_controller",
      capabilities,
      heartbeatMs: 0,
    }),
  );
  const turns = await turnsOf(hub, device.uid, stack);
  const times = new Map<Side, Histogram>(SIDES.map((side) => [side, createHistogram()]));
  for (let round = 0; round < rounds; round++)
    for (const [at, side] of SIDES.entries()) {
      // Each turn of a relay is to what it is not.
      const isOn = (Math.floor(round / RELAYS) * SIDES.length + at) % 2 === 0;
      const startedAt = performance.now();
      const acknowledged = device.next("acknowledged");
      const arrived = device.next("executed").then(() => performance.now());
      await turns[side](round % RELAYS, isOn);
      times.get(side)?.add((await arrived) - startedAt);
      await acknowledged;
    }
  const rest = times.get("REST")?.summary();
  return [
    ...SIDES.flatMap((side): Row[] => {
      const { p50Ms, p99Ms } = times.get(side)?.summary() ?? { p50Ms: Number.NaN, p99Ms: Number.NaN };
      const name = `command until the device has it: ${side}`;
      if (side === "REST") return rowsOf(name, [p50Ms, p99Ms]);
      return rowsOf(`${name} (other: REST)`, [p50Ms, p99Ms], [rest?.p50Ms, rest?.p99Ms]);
    }),
    ...(await measureChild(hub)),
  ];
}

const rowsOf = (name: string, hub: readonly number[], other: readonly (number | undefined)[] = []): Row[] => [
  { name: `${name}, p50`, unit: "ms", hub: hub[0], other: other[0] },
  { name: "  p99", unit: "ms", hub: hub[1], other: other[1] },
];

/** How each of them asks for it. */
async function turnsOf(hub: HubProcess, uid: string, stack: AsyncDisposableStack): Promise<Record<Side, Turn>> {
  const { token } = await hub.post("/api/v1/access-tokens", { kind: "personal", name: "Alexa" });
  const home = stack.use(await joinHome(hub));
  const entityId = (relay: number) => home.find(`hexa_${uid}_relay_${relay}`)?.entityId ?? "none";
  const isThere = () => Array.from({ length: RELAYS }, (_, relay) => home.entities.get(entityId(relay))).every((one) => one?.available);
  await until(isThere, { what: "the relays in Home Assistant", timeoutMs: LIMIT_MS });
  await shownBy(hub, 1);
  const { data } = (await hub.get("/api/v1/bridges/homekit/pairings")) as unknown as { data: Code[] };
  const phone = stack.use(await HomeController.pair(data[0] as Code));
  const [seen] = await phone.accessoriesOnce(1);
  const ids = (seen?.services ?? []).flatMap(({ kind, characteristics }) => (kind === "Switch" ? [characteristics["On"]?.id ?? ""] : []));
  return {
    REST: (relay, isOn) => hub.post(`/api/v1/devices/${uid}/commands`, { command: "set_relay", relay, state: isOn ? "ON" : "OFF" }),
    "Home Assistant": (relay, isOn) => home.turn(entityId(relay), isOn ? "on" : "off"),
    async HomeKit(relay, isOn) {
      const errors = await phone.write({ [ids[relay] ?? ""]: isOn });
      if (errors.length > 0) throw new Error(`HomeKit's write ended with ${errors.join(", ")}`);
    },
    async Alexa(relay, isOn) {
      const what = `Alexa.PowerController.${isOn ? "TurnOn" : "TurnOff"}`;
      const answer = await direct({ base: hub.http }, directive(what, { token: String(token), endpointId: `${uid}:relay:${relay}` }));
      if (answer.event.header.name !== "Response") throw new Error(`Alexa was told ${errorIn(answer)}`);
    },
  };
}

/** The child alone; its devices are not connected, apart from the first. */
async function measureChild(hub: HubProcess): Promise<Row[]> {
  const one = rssBytes(await shownBy(hub, 1));
  await hub.addDevices("relay_controller", ACCESSORIES - 1);
  const all = rssBytes(await shownBy(hub, ACCESSORIES));
  return [
    { name: "HomeKit's child with 1 device: RSS", unit: "MiB", hub: one / MEBIBYTE },
    { name: `  with ${ACCESSORIES}`, unit: "MiB", hub: all / MEBIBYTE },
  ];
}

/** Resolves to the child's process once it shows so many. */
async function shownBy(hub: HubProcess, accessories: number): Promise<number> {
  interface Shown {
    readonly details: { readonly bridges: readonly { readonly pid: number; readonly connected: boolean; readonly accessories: number }[] };
  }
  return await until(
    async () => {
      const { bridge } = (await hub.get("/api/v1/bridges/homekit")) as unknown as { bridge: Shown };
      return bridge.details.bridges.find((one) => one.connected && one.accessories === accessories)?.pid;
    },
    { what: `a bridge with ${accessories} accessories`, timeoutMs: LIMIT_MS },
  );
}

async function measureDiscovery(): Promise<Row[]> {
  await using hub = await startHubProcess();
  await hub.addDevices("relay_controller", DEVICES);
  let startedAt = performance.now();
  await using home = await joinHome(hub);
  await until(() => home.devices.size === DEVICES, { what: "all devices in Home Assistant", timeoutMs: LIMIT_MS });
  const firstMs = performance.now() - startedAt;
  // The last message's entities come with it.
  const entities = home.entities.size;
  await home.stop();
  startedAt = performance.now();
  await home.start();
  await until(() => home.entities.size === entities, { what: "all entities again", timeoutMs: LIMIT_MS });
  const againMs = performance.now() - startedAt;
  return [
    {
      name: `Home Assistant: ${DEVICES.toLocaleString("en")} devices, ${entities} entities, from making the account`,
      unit: "s",
      hub: firstMs / SECOND_MS,
    },
    { name: "  after its restart", unit: "s", hub: againMs / SECOND_MS },
  ];
}

async function joinHome(hub: HubProcess) {
  const { username, password } = await hub.post("/api/v1/bridges/home_assistant/account", {});
  return await startHomeAssistant({ url: urlOf(hub), username: String(username), password: String(password) });
}

const urlOf = ({ targets: { tcp } }: HubProcess): string => `mqtt://${tcp.host}:${tcp.port}`;
