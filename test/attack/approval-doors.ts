import assert from "node:assert/strict";
import { connectAsync, type IClientOptions, type MqttClient } from "mqtt";
import type { Packet } from "mqtt-packet";
import type { Command } from "../../core/command.ts";
import { newId } from "../../core/id.ts";
import { type Asker, type DoorScene, must } from "./door-scene.ts";

/** Something that somebody wants a device to do. */
export interface Wish {
  readonly who: Asker;
  readonly uid: string;
  readonly command: Command;
}

/** A way in which somebody may try to have a device do something. */
export interface Door {
  readonly name: string;
  /** Whether this one can ask for that here at all. */
  readonly isFor: (wish: Wish) => boolean;
  /** Gives the id of the task that it has become, where the door says it. */
  readonly knock: (scene: DoorScene, wish: Wish) => Promise<string | undefined>;
}

interface Parked {
  readonly status: string;
  readonly task_id: string;
}

async function askRest(api: Asker["api"], { uid, command }: Wish): Promise<string> {
  const parked = await must<Parked>(api, 202, ["POST", `devices/${uid}/commands`, command]);
  assert.equal(parked.status, "awaiting_confirmation");
  return parked.task_id;
}

const hasTopic = ({ command }: Wish): boolean => command.command === "set_relay";
const always = (): boolean => true;

/** Publishes at QoS 1, and gives the reason that came with the PUBACK. */
export async function publishFor(client: MqttClient, topic: string, payload: string, qos: 1 | 2 = 1): Promise<string | undefined> {
  const reasons: (string | undefined)[] = [];
  const onPacket = (packet: Packet): void => {
    if (packet.cmd === "puback" || packet.cmd === "pubrec") reasons.push(packet.properties?.reasonString);
  };
  client.on("packetreceive", onPacket);
  await client.publishAsync(topic, payload, { qos });
  client.off("packetreceive", onPacket);
  return reasons[0];
}

export const taskOfReason = (reason: string | undefined): string => {
  const id = /^awaiting_confirmation: task (\S+)$/.exec(reason ?? "")?.[1];
  return id ?? assert.fail(`the reason is ${reason}`);
};

async function publishRelay(url: string, options: IClientOptions, { uid, command }: Wish): Promise<string | undefined> {
  if (command.command !== "set_relay") return assert.fail("there is no such topic");
  const client = await connectAsync(url, { reconnectPeriod: 0, ...options });
  try {
    return await publishFor(client, `hexa/${uid}/relay/${command.relay}/set`, command.state);
  } finally {
    await client.endAsync();
  }
}

const actionOf = ({ uid: device, command }: Wish): object =>
  command.command === "set_all_relays"
    ? { kind: "set_all_relays", devices: [device], state: command.state }
    : { kind: "command", device, command };

async function makeScene({ people }: DoorScene, { uid: device, command }: Wish): Promise<string> {
  const made = await must<{ scene: { id: string } }>(people.admin.api, 201, [
    "POST",
    "scenes",
    { name: newId(), commands: [{ device, command }] },
  ]);
  return made.scene.id;
}

/** An automation of the admin's, set off by an event of whoever asks. */
async function setOff({ people }: DoorScene, { who }: Wish, action: object): Promise<void> {
  const type = `custom.${newId()}`;
  const automation = { name: type, triggers: [{ kind: "event", type }], actions: [action] };
  await must(people.admin.api, 201, ["POST", "automations", automation]);
  await must(who.api, 201, ["POST", "events", { type, data: {} }]);
}

async function makeSchedule(api: Asker["api"], wish: Wish, recurrence: object): Promise<string> {
  const body = { name: newId(), recurrence, max_runs: 1, actions: [actionOf(wish)] };
  return (await must<{ schedule: { id: string } }>(api, 201, ["POST", "schedules", body])).schedule.id;
}

export const DOORS: readonly Door[] = [
  { name: "a command over REST", isFor: always, knock: (_scene, wish) => askRest(wish.who.api, wish) },
  {
    name: "a task over REST",
    isFor: always,
    async knock(_scene, { who, uid: device, command }) {
      const body = { device, name: "By hand", actions: [{ command: "identify" }, command] };
      const { task } = await must<{ task: { id: string; status: string } }>(who.api, 201, ["POST", "tasks", body]);
      assert.equal(task.status, "awaiting_confirmation");
      return task.id;
    },
  },
  {
    name: "a draft that is submitted",
    isFor: always,
    async knock(_scene, { who, uid: device, command }) {
      const body = { device, name: "By hand", draft: true, actions: [command] };
      const { task } = await must<{ task: { id: string } }>(who.api, 201, ["POST", "tasks", body]);
      const submitted = await must<{ task: { status: string } }>(who.api, 200, ["POST", `tasks/${task.id}/submit`]);
      assert.equal(submitted.task.status, "awaiting_confirmation");
      return task.id;
    },
  },
  {
    name: "a limited token",
    isFor: ({ who }) => who.cookie !== undefined,
    async knock({ hub }, wish) {
      const limits = { kind: "personal", name: newId(), permissions: ["device.read", "device.control"], devices: [wish.uid] };
      const { token } = await must<{ token: string }>(wish.who.api, 201, ["POST", "access-tokens", limits]);
      return await askRest(Object.assign(Object.create(wish.who.api) as Asker["api"], { base: hub.http, token }), wish);
    },
  },
  {
    name: "MQTT 3.1.1",
    isFor: hasTopic,
    async knock({ hub }, wish) {
      const { username, password } = wish.who;
      assert.equal(await publishRelay(hub.mqtt, { username, password, protocolVersion: 4 }, wish), undefined);
      return undefined;
    },
  },
  {
    name: "MQTT 5",
    isFor: hasTopic,
    async knock({ hub }, wish) {
      const { username, password } = wish.who;
      return taskOfReason(await publishRelay(hub.mqtt, { username, password, protocolVersion: 5 }, wish));
    },
  },
  {
    name: "a browser",
    isFor: (wish) => hasTopic(wish) && wish.who.cookie !== undefined,
    async knock({ hub }, wish) {
      const headers = { cookie: wish.who.cookie ?? "", origin: hub.http };
      return taskOfReason(await publishRelay(hub.ws, { protocolVersion: 5, wsOptions: { headers } }, wish));
    },
  },
  {
    name: "a schedule that is run by hand",
    isFor: always,
    async knock({ people }, wish) {
      const id = await makeSchedule(people.admin.api, wish, { kind: "cron", expression: "0 4 1 1 *" });
      await must(wish.who.api, 202, ["POST", `schedules/${id}/run`]);
      return undefined;
    },
  },
  {
    name: "a schedule whose time comes",
    isFor: ({ who }) => who.name !== "operator",
    async knock(_scene, wish) {
      const recurrence = { kind: "interval", every_s: 1, starting_at: new Date(Date.now() + 500).toISOString() };
      await makeSchedule(wish.who.api, wish, recurrence);
      return undefined;
    },
  },
  {
    name: "an automation",
    isFor: always,
    async knock(scene, wish) {
      await setOff(scene, wish, actionOf(wish));
      return undefined;
    },
  },
  {
    name: "a scene",
    isFor: always,
    async knock(scene, wish) {
      const id = await makeScene(scene, wish);
      const { results } = await must<{ results: Parked[] }>(wish.who.api, 200, ["POST", `scenes/${id}/activate`]);
      assert.deepEqual(
        results.map(({ status }) => status),
        ["awaiting_confirmation"],
      );
      return results[0]?.task_id;
    },
  },
  {
    name: "a scene of an automation",
    isFor: always,
    async knock(scene, wish) {
      await setOff(scene, wish, { kind: "scene", scene_id: await makeScene(scene, wish) });
      return undefined;
    },
  },
];
