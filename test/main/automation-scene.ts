import assert from "node:assert/strict";
import { startVirtualDevice, type VirtualDevice } from "../../firmware/virtual/device.ts";
import { type HubOptions, startHub, type TestHub } from "../support/hub.ts";

/** A hub with a device that is connected. */
export interface AutomationScene extends AsyncDisposable {
  readonly hub: TestHub;
  readonly relay: VirtualDevice;
  readonly uid: string;
  /** Gives the id. */
  create(definition: object): Promise<string>;
  add(options?: { relays?: number }): Promise<VirtualDevice>;
  runs(id: string): Promise<RunJson[]>;
  show(id: string): Promise<{ json: AutomationJson; etag: string }>;
  events(query: string): Promise<EventJson[]>;
}

export interface RunJson {
  readonly id: string;
  readonly status: string;
  readonly source_version: number;
  readonly cause: Readonly<Record<string, unknown>>;
  readonly steps: readonly { path: string; kind: string; status: string; code?: string }[];
  readonly causation_id: string | null;
  readonly correlation_id: string;
}
export interface AutomationJson {
  readonly id: string;
  readonly version: number;
  readonly fire_count: number;
  readonly next_run_at: string | null;
  readonly is_enabled: boolean;
}
export interface EventJson {
  readonly id: string;
  readonly type: string;
  readonly data: Readonly<Record<string, unknown>>;
  readonly correlation_id: string;
  readonly causation_id: string | null;
}

export async function startAutomationScene(options: HubOptions = {}): Promise<AutomationScene> {
  await using stack = new AsyncDisposableStack();
  const hub = stack.use(await startHub(options));
  const { api } = hub;
  await api.login();
  const add: AutomationScene["add"] = async ({ relays = 4 } = {}) => {
    const capabilities = { relays, inputs: 4, sensors: [{ key: "temperature" }] };
    const { uid, token } = await api.addDevice({ device_class: "hybrid", capabilities });
    return owned.use(
      await startVirtualDevice({
        url: hub.mqtt,
        uid,
        password: token,
        deviceClass: "hybrid",
        capabilities,
        protocolVersion: 5,
        heartbeatMs: 0,
      }),
    );
  };
  const owned = stack.use(new AsyncDisposableStack());
  const relay = await add();
  const running = stack.move();
  return {
    hub,
    relay,
    uid: relay.uid,
    add,
    async create(definition) {
      const made = await api.call<{ automation: AutomationJson }>("POST", "/api/v1/automations", { name: "Test", ...definition });
      assert.equal(made.status, 201, JSON.stringify(made.body));
      return made.body.automation.id;
    },
    runs: async (id) => (await api.call<{ data: RunJson[] }>("GET", `/api/v1/automations/${id}/runs`)).body.data,
    async show(id) {
      const { body, headers } = await api.call<{ automation: AutomationJson }>("GET", `/api/v1/automations/${id}`);
      return { json: body.automation, etag: headers.get("etag") ?? "" };
    },
    events: async (query) => (await api.call<{ data: EventJson[] }>("GET", `/api/v1/events?${query}`)).body.data,
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

export const turn = (device: string, relay: number, state: "ON" | "OFF" | "TOGGLE") => ({
  kind: "command",
  device,
  command: { command: "set_relay", relay, state },
});
export const publish = (name: string, payload: unknown = name) => ({ kind: "publish", name, payload });

export const isOn = ({ state }: VirtualDevice, index: number): boolean =>
  state.relays.find((relay) => relay.index === index)?.state === "ON";
