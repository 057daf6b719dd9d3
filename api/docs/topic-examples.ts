import type { DownType, UpType } from "../../core/payloads.ts";
import { signEnvelope } from "../../core/task-envelope.ts";
import type { TopicKind } from "../../core/topics.ts";

/** What the topic reference shows for a topic: a payload that its schema accepts, as it goes over the wire. */
export interface TopicExample {
  readonly payload: string;
  readonly note?: string;
  /** Part of the contract, and nothing is sent there in this release. */
  readonly isReserved?: boolean;
}

const COMMAND_ID = "019aa3f0-5b6e-7cc1-9a53-3f0d0f0a7c11";
const TIME = "2026-11-21T05:22:10.123Z";
const json = (value: unknown): string => JSON.stringify(value);
/** Of no device: the bytes 0 to 31. */
export const EXAMPLE_TASK_KEY = Buffer.from(Array.from({ length: 32 }, (_, byte) => byte));
const TASK = { task_id: "019aa3f0-6d10-7b3e-8a41-52c9b17d40e2", attempt: 1, key_id: "1" } as const;

export const UP_EXAMPLES: Readonly<Record<UpType, TopicExample>> = {
  register: {
    payload: json({ firmware_version: "1.4.2", model: "HX-R4", capabilities: { relays: 4 } }),
    note: "The hub answers on `down/registered`.",
  },
  heartbeat: {
    payload: json({ uptime_s: 86400, rssi: -61, free_heap: 142336 }),
    note: "Without one for 120 s a connected device is `stale`.",
  },
  state_report: {
    payload: json({ relays: [{ index: 0, state: "ON" }] }),
    note: "What the device changed by itself. Only what differs is stored, published and audited.",
  },
  input_event: { payload: json({ input: 0, event: "click" }) },
  telemetry: {
    payload: json({ values: { temperature: 21.5, humidity: 48 } }),
    note: "Or an array of up to 500 such, with their own `ts`. A sample without `ts` happened when it arrived.",
  },
  ack: {
    payload: json({ command_id: COMMAND_ID, status: "ok", state: "ON" }),
    note: "`state` may be left out: the hub then takes the commanded state.",
  },
  task_result: {
    payload: json(
      signEnvelope(
        {
          type: "task.result",
          ...TASK,
          results: [{ action_id: "a1", status: "ok", state: "ON" }],
          timestamp: "2026-11-21T05:22:11.480Z",
        },
        EXAMPLE_TASK_KEY,
      ),
    ),
    note: "What became of the actions of `down/task`, in their order. This one is signed with the bytes 0 to 31 as its key.",
  },
  ir_learned: {
    payload: json({ name: "tv power", carrier_hz: 38000, timings: [9000, -4500, 560, -560] }),
    note: "Is kept as a code of the device (docs/ir.md), if it can be sent: marks and spaces in turns, a mark first.",
  },
  ota_status: { payload: json({ status: "downloading", version: "1.5.0", progress: 40 }) },
  log: { payload: json({ level: "warn", message: "flash is nearly full" }) },
};

export const DOWN_EXAMPLES: Readonly<Record<DownType, TopicExample>> = {
  command: {
    payload: json({ command_id: COMMAND_ID, command: "set_relay", relay: 0, state: "ON", expires_at: TIME }),
    note: "Beside `command_id` and `expires_at` stand the command's own fields; the commands are listed below. The device answers on `up/ack`, does a repeated `command_id` once, and nothing after `expires_at`.",
  },
  task: {
    payload: json(
      signEnvelope(
        {
          type: "task.exec",
          ...TASK,
          issued_at: TIME,
          expires_at: "2026-11-21T05:27:10.123Z",
          actions: [{ action_id: "a1", command: "set_relay", relay: 0, state: "ON" }],
        },
        EXAMPLE_TASK_KEY,
      ),
    ),
    note: "To devices whose capabilities say `tasks`. An action is a command with an `action_id`; [firmware/README.md](../firmware/README.md) says how a device checks and does them. This one is signed with the bytes 0 to 31 as its key.",
  },
  ir_learn: {
    payload: json({ timeout_s: 30 }),
    note: "The device listens for so long, and tells the first signal that it receives on `up/ir_learned`.",
  },
  config: {
    payload: json({ relay_names: ["hall"], power_restore: "last" }),
    note: "Retained: the device gets its settings whenever it connects.",
  },
  ota: { payload: json({ version: "1.5.0" }), note: "Reserved: this release sends none.", isReserved: true },
  registered: { payload: json({ uid: "relay-7kq2mzd94x", time: TIME, claimed: true, heartbeat_interval_s: 30 }) },
  error: {
    payload: json({
      code: "validation_error",
      message: "/values must be object",
      topic: "hexa/relay-7kq2mzd94x/up/telemetry",
      details: null,
    }),
    note: "Something the device published was refused. It was acknowledged all the same: sent again it would be refused again.",
  },
};

export const TOPIC_EXAMPLES: Readonly<Record<Exclude<TopicKind, "up" | "down">, TopicExample>> = {
  availability: { payload: "online", note: "The device publishes `online` after it connected and leaves `offline` as its retained will." },
  relay_state: { payload: "ON" },
  relay_set: { payload: "TOGGLE", note: "Goes through the command path; what became of it is the `state` topic." },
  light_state: { payload: json({ state: "ON", brightness: 40 }) },
  light_set: {
    payload: json({ state: "ON", brightness: 40 }),
    note: "`brightness` runs from 0 to 100, `color_temp` is in kelvin, `transition` in seconds.",
  },
  ir_send: {
    payload: json({ timings: [9000, -4500, 560, -560], carrier_hz: 38000 }),
    note: "Microseconds: marks positive, spaces negative. What Home Assistant's infrared entity sends is taken too.",
  },
  button_press: {
    payload: "PRESS",
    note: "`identify`, `restart`, or `ir_` and the id of one of the device's infrared codes.",
  },
  sensor_state: { payload: "21.5", note: "The value alone; booleans as `ON` and `OFF`." },
  event: {
    payload: json({
      specversion: "1.0",
      id: COMMAND_ID,
      type: "device.online",
      source: "/hexahub",
      time: TIME,
      datacontenttype: "application/json",
      correlationid: COMMAND_ID,
      actorkind: "device",
      actorid: "…",
      data: { uid: "relay-7kq2mzd94x" },
    }),
    note: "CloudEvents 1.0 in JSON. The types are listed below.",
  },
  hub_availability: { payload: "online", note: "`offline` when the hub stops. Whoever loses the connection knows it too." },
  notification: {
    payload: json({
      specversion: "1.0",
      id: `${COMMAND_ID}.7`,
      type: "notification",
      source: "/hexahub",
      subject: COMMAND_ID,
      time: TIME,
      datacontenttype: "application/json",
      correlationid: COMMAND_ID,
      data: {
        id: COMMAND_ID,
        seq: 7,
        severity: "warning",
        title: "The cellar is wet",
        body: "",
        data: null,
        source: { kind: "alert", id: COMMAND_ID },
        count: 1,
        correlation_id: COMMAND_ID,
        causation_id: null,
        created_at: TIME,
        updated_at: TIME,
        read_at: null,
      },
    }),
    note: "For the person alone, not for tokens that are limited. What is told anew has the same `subject` and another `id`; the same `id` twice is one.",
  },
  bus: {
    payload: json({ anything: "you like" }),
    note: "The organisation's own topics, of any depth: for scripts, Node-RED and other programs that talk to each other. The hub checks who may read and write, and nothing else.",
  },
  homekit_list: {
    payload: json({
      follow: [`hexa/+/availability`, `hexa/+/relay/+/state`],
      accessories: [
        {
          uid: "relay-7kq2mzd94x",
          name: "Hall",
          model: "R4",
          firmware: "1.2.0",
          availability: `hexa/relay-7kq2mzd94x/availability`,
          services: [
            {
              id: "relay-0",
              kind: "switch",
              name: "Hall",
              state: `hexa/relay-7kq2mzd94x/relay/0/state`,
              set: `hexa/relay-7kq2mzd94x/relay/0/set`,
            },
          ],
        },
      ],
    }),
    note: "All that one HomeKit bridge shows, for the Homebridge plugin `homebridge-hexahub`: an accessory that is not in it is removed. With `HEXA_HOMEKIT`.",
  },
  sys: {
    payload: "42",
    note: "Every 10 s, by mosquitto's names where it has one: `clients/connected`, `messages/received` and so on. For administrators of the hub only, who log in with their e-mail address and their password or an access token.",
  },
  ha_status: { payload: "online", note: "Home Assistant's birth and will (docs/home-assistant.md). Its organisation's account says it." },
  ha_discovery: {
    payload: json({
      device: { identifiers: ["hexa_relay-7kq2mzd94x"], name: "Hall" },
      origin: { name: "Hexahub" },
      components: { relay_0: { platform: "switch", unique_id: "hexa_relay-7kq2mzd94x_relay_0" } },
    }),
    note: "docs/home-assistant.md says what becomes what. A device that is gone is taken back with an empty message.",
  },
};
