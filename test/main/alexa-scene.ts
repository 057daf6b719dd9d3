import assert from "node:assert/strict";
import { startVirtualDevice, type VirtualDevice } from "../../firmware/virtual/device.ts";
import { type Directed, direct, directive } from "../support/alexa-directives.ts";
import type { AlexaMessage } from "../support/alexa-rules.ts";
import { type HubOptions, startHub, type TestHub } from "../support/hub.ts";
import { until } from "../support/wait.ts";

/** A hub, somebody who has linked Alexa, and a device that has a bit of everything. */
export interface AlexaScene extends AsyncDisposable {
  readonly hub: TestHub;
  readonly device: VirtualDevice;
  readonly deviceId: string;
  readonly uid: string;
  readonly token: string;
  /** An access token with these limits. */
  tokenWith(limits: object): Promise<{ id: string; token: string }>;
  /** Of the scene's device where it says no more than the part. */
  ask(what: string, directed?: Directed & { readonly part?: string }): Promise<AlexaMessage>;
}

export const CAPABILITIES = {
  relays: 2,
  lights: 1,
  ir: true,
  sensors: [
    { key: "temperature", unit: "°C", device_class: "temperature" },
    { key: "door", device_class: "door" },
    { key: "movement", device_class: "motion", name: "Movement" },
    { key: "humidity", unit: "%", device_class: "humidity" },
  ],
};

export async function startAlexaScene(options: HubOptions = {}): Promise<AlexaScene> {
  await using stack = new AsyncDisposableStack();
  const hub = stack.use(await startHub(options));
  const { api } = hub;
  await api.login();
  const { uid, id: deviceId, token: password } = await api.addDevice({ name: "Hall", device_class: "hybrid", capabilities: CAPABILITIES });
  const device = stack.use(
    await startVirtualDevice({
      url: hub.mqtt,
      uid,
      password,
      deviceClass: "hybrid",
      capabilities: CAPABILITIES,
      protocolVersion: 5,
      heartbeatMs: 0,
    }),
  );
  const tokenWith: AlexaScene["tokenWith"] = async (limits) => {
    const { status, body } = await api.call<{ id: string; token: string }>("POST", "/api/v1/access-tokens", {
      kind: "personal",
      name: "Alexa",
      ...limits,
    });
    assert.equal(status, 201, JSON.stringify(body));
    return body;
  };
  const { token } = await tokenWith({});
  await until(async () => (await api.call("GET", `/api/v1/devices/${uid}`)).status === 200, { what: "the device" });
  const running = stack.move();
  return {
    hub,
    device,
    deviceId,
    uid,
    token,
    tokenWith,
    ask: (what, { part, ...directed } = {}) =>
      direct(api, directive(what, { token, ...(part === undefined ? {} : { endpointId: `${uid}:${part}` }), ...directed })),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}
