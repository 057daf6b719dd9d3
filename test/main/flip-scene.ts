import assert from "node:assert/strict";
import { startVirtualDevice, type VirtualDevice } from "../../firmware/virtual/device.ts";
import type { OnOff } from "../../core/state.ts";
import { direct, directive, errorIn, grantOf, stateIn } from "../support/alexa-directives.ts";
import { type AlexaGateway, startAlexaGateway } from "../support/alexa-gateway.ts";
import { type Code, HomeController, idOf } from "../support/home-controller.ts";
import type { HomeAssistant } from "../support/home-assistant.ts";
import { codesOf, startHome } from "../support/homekit-hub.ts";
import type { ApiClient, TestHub } from "../support/hub.ts";
import { until } from "../support/wait.ts";
import { entityOf, join, makeAccount } from "./home-assistant-scene.ts";

/** Whoever can turn the relay, by the names that the hub has for them. */
export const SIDES = ["rest", "home-assistant", "homekit", "alexa", "device"] as const;
export type Side = (typeof SIDES)[number];

/** A switch in three smart homes, with everybody who can turn it and everybody who shows it. */
export interface FlipScene extends AsyncDisposable {
  readonly api: ApiClient;
  readonly deviceId: string;
  readonly device: VirtualDevice;
  readonly gateway: AlexaGateway;
  readonly home: HomeAssistant;
  /** Resolves when the side takes it as done. */
  readonly turn: Readonly<Record<Side, (state: OnOff) => Promise<void>>>;
  /** As each shows it unasked: HomeKit by its events. */
  told(): Shown;
  /** As each answers who asks; REST with why it is so. */
  asked(): Promise<Asked>;
  /** Somebody looks at the phone: its Home reads. */
  lookAtPhone(): Promise<void>;
}

export type Shown = Readonly<Record<string, OnOff | undefined>>;

export interface Asked {
  readonly shown: Shown;
  readonly why: Reason;
}

export interface Reason {
  readonly source: Side;
  readonly actor: { readonly kind: string; readonly id: string };
  readonly command_id: string | null;
}

const CAPABILITIES = { relays: 1 };

export async function startFlipScene(): Promise<FlipScene> {
  await using stack = new AsyncDisposableStack();
  const gateway = stack.use(await startAlexaGateway());
  const hub = stack.use(await startHome({ env: gateway.env }));
  const { api } = hub;
  const { uid, id: deviceId, token: password } = await api.addDevice({ name: "Hall", capabilities: CAPABILITIES });
  const device = stack.use(
    await startVirtualDevice({ url: hub.mqtt, uid, password, deviceClass: "relay_controller", capabilities: CAPABILITIES, heartbeatMs: 0 }),
  );
  const alexa = await openAlexa(hub, gateway, `${uid}:relay:0`);
  const homeKit = await openHomeKit(api, stack);
  const home = stack.use(await join(hub.mqtt, await makeAccount(api)));
  const { entityId } = await entityOf(home, uid, "switch");
  await home.shows(entityId, "off");
  const running = stack.move();
  return {
    api,
    deviceId,
    device,
    gateway,
    home,
    turn: {
      async rest(state) {
        const { status, body } = await api.call("POST", `/api/v1/devices/${uid}/commands`, { command: "set_relay", relay: 0, state });
        assert.equal(status, 200, JSON.stringify(body));
      },
      "home-assistant": (state) => home.turn(entityId, state === "ON" ? "on" : "off"),
      homekit: homeKit.turn,
      alexa: alexa.turn,
      device: (state) => device.setRelayLocally(0, state),
    },
    told: () => ({
      device: device.state.relays[0]?.state,
      "home-assistant": home.entities.get(entityId)?.state === "on" ? "ON" : "OFF",
      homekit: homeKit.heard(),
      alexa: alexa.told(),
    }),
    async asked() {
      const [rest, homekit, reported] = await Promise.all([
        api.call<{ state: { relays: { state: OnOff }[] }; reasons: [Reason] }>("GET", `/api/v1/devices/${uid}`),
        homeKit.read(),
        alexa.read(),
      ]);
      return { shown: { rest: rest.body.state.relays[0]?.state, homekit, alexa: reported }, why: rest.body.reasons[0] };
    },
    lookAtPhone: homeKit.look,
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/** Somebody who has linked Alexa, and talks to it. */
async function openAlexa({ api }: TestHub, gateway: AlexaGateway, endpointId: string) {
  const made = await api.call<{ token: string }>("POST", "/api/v1/access-tokens", { kind: "personal", name: "Alexa" });
  assert.equal(made.status, 201, JSON.stringify(made.body));
  const { token } = made.body;
  const granted = await direct(api, grantOf(gateway.newCode(), token));
  assert.equal(granted.event.header.name, "AcceptGrant.Response", JSON.stringify(granted));
  await until(() => gateway.endpoints.has(endpointId), { what: "the relay at Alexa" });
  const ask = (what: string) => direct(api, directive(what, { token, endpointId }));
  const read = async (): Promise<OnOff> => stateIn(await ask("Alexa.ReportState"))["PowerController.powerState"] as OnOff;
  // Of a new endpoint Alexa asks the state by itself; the reports tell of changes.
  const first = await read();
  return {
    told: () => (gateway.states.get(`${endpointId} Alexa.PowerController`) as OnOff | undefined) ?? first,
    turn: async (state: OnOff): Promise<void> => {
      const answer = await ask(`Alexa.PowerController.${state === "ON" ? "TurnOn" : "TurnOff"}`);
      assert.equal(answer.event.header.name, "Response", errorIn(answer));
    },
    read,
  };
}

const onOff = (value: unknown): OnOff => (value === true || value === 1 ? "ON" : "OFF");

/** A phone that shows what it was told, and what it has written itself. */
async function openHomeKit(api: ApiClient, stack: AsyncDisposableStack) {
  const [code] = await codesOf(api, 1);
  const phone = stack.use(await HomeController.pair(code as Code));
  const [seen] = await phone.accessoriesOnce(1);
  assert.ok(seen);
  const id = idOf(seen, "Switch", "On");
  let heard = onOff(await phone.read(id));
  phone.events.on("event", (about, value) => {
    if (about === id) heard = onOff(value);
  });
  await phone.subscribe([id]);
  return {
    heard: () => heard,
    turn: async (state: OnOff): Promise<void> => {
      heard = state;
      assert.deepEqual(await phone.write({ [id]: state === "ON" }), []);
    },
    read: async () => onOff(await phone.read(id)),
    look: async (): Promise<void> => {
      heard = onOff(await phone.read(id));
    },
  };
}
