import { Socket } from "node:net";
import mqtt from "mqtt";
import type { Ack } from "../../core/payloads.ts";
import type { TaskResultEnvelope } from "../../core/task-envelope.ts";
import { createTopics } from "../../core/topics.ts";
import { type VirtualDevice, type VirtualDeviceOptions, startVirtualDevice } from "../../firmware/virtual/device.ts";
import { until } from "../support/wait.ts";

export interface Heard {
  readonly topic: string;
  readonly text: string;
  readonly retain: boolean;
}

/** The hub's end of the wire, on a foreign broker: answers registrations, sends what a test wants, keeps what it heard. */
export interface HubSide extends AsyncDisposable {
  readonly heard: readonly Heard[];
  /** Payloads of `up/<type>`, in the order of arrival. */
  up(uid: string, type: string): Record<string, unknown>[];
  availability(uid: string): string[];
  /** `down/command`; expires in 30 s unless said otherwise. */
  command(uid: string, fields: { readonly command_id: string; readonly command: string } & Record<string, unknown>): Promise<void>;
  down(uid: string, type: "config" | "error" | "task", payload: object, retain?: boolean): Promise<void>;
  untilAcks(uid: string, count: number): Promise<Ack[]>;
  untilResults(uid: string, count: number): Promise<TaskResultEnvelope[]>;
}

const topics = createTopics();

export async function startHubSide(url: string): Promise<HubSide> {
  const client = await mqtt.connectAsync(url, { clientId: "hub-side", reconnectPeriod: 0 });
  if (client.stream instanceof Socket) client.stream.setNoDelay(true);
  const heard: Heard[] = [];
  const down = async (
    uid: string,
    type: "command" | "registered" | "config" | "error" | "task",
    payload: object,
    retain = false,
  ): Promise<void> => {
    await client.publishAsync(topics.build({ kind: "down", uid, type }), JSON.stringify(payload), { qos: 1, retain });
  };
  const failures: unknown[] = [];
  client.on("message", (topic, payload, { retain }) => {
    heard.push({ topic, text: payload.toString(), retain });
    const place = topics.parse(topic);
    if (place?.kind === "up" && place.type === "register")
      down(place.uid, "registered", { uid: place.uid, time: new Date().toISOString(), claimed: true, heartbeat_interval_s: 30 }).catch(
        (error: unknown) => failures.push(error),
      );
  });
  await client.subscribeAsync(["hexa/+/up/#", "hexa/+/availability"], { qos: 1 });

  const up = (uid: string, type: string): Record<string, unknown>[] =>
    heard.filter(({ topic }) => topic === `hexa/${uid}/up/${type}`).map(({ text }) => JSON.parse(text) as Record<string, unknown>);
  return {
    heard,
    up,
    availability: (uid) => heard.filter(({ topic }) => topic === `hexa/${uid}/availability`).map(({ text }) => text),
    command: async (uid, fields) => down(uid, "command", { expires_at: new Date(Date.now() + 30_000).toISOString(), ...fields }),
    down: async (uid, type, payload, retain) => down(uid, type, payload, retain),
    untilAcks: async (uid, count) =>
      until(() => up(uid, "ack").length >= count && (up(uid, "ack") as unknown as Ack[]), { what: `${count} acknowledgements of ${uid}` }),
    untilResults: async (uid, count) =>
      until(() => up(uid, "task_result").length >= count && (up(uid, "task_result") as unknown as TaskResultEnvelope[]), {
        what: `${count} results of tasks of ${uid}`,
      }),
    async [Symbol.asyncDispose]() {
      await client.endAsync(true);
      if (failures.length > 0) throw new AggregateError(failures, "the hub's side could not answer a registration");
    },
  };
}

let made = 0;
/** A four-relay device with a light and an infrared emitter, unless said otherwise. */
export async function startDevice(url: string, options: Partial<VirtualDeviceOptions> = {}): Promise<VirtualDevice> {
  return startVirtualDevice({
    url,
    uid: `test-device-${++made}`,
    password: "not checked here",
    deviceClass: "hybrid",
    capabilities: { relays: 4, lights: 1, inputs: 2, ir: true, sensors: [{ key: "temperature" }] },
    heartbeatMs: 0,
    ...options,
  });
}
