import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { connectAsync, type IClientOptions, type MqttClient } from "mqtt";
import { newId } from "../../core/id.ts";
import type { VirtualDevice } from "../../firmware/virtual/device.ts";
import { databases } from "../support/databases.ts";
import { openRawClient, type RawClient } from "../support/raw-client.ts";
import { until } from "../support/wait.ts";
import { publishFor, taskOfReason } from "./approval-doors.ts";
import { type Asker, type DoorScene, must, startDoorScene, type Target, type TargetName } from "./door-scene.ts";

const ON = { command: "set_relay", relay: 0, state: "ON" } as const;
const SLOW = { timeout: 60_000 };

for (const { name, skip, open } of databases()) {
  describe(`${name}: a critical device`, { skip }, () => {
    const stack = new AsyncDisposableStack();
    let scene: DoorScene;
    before(async () => {
      scene = stack.use(await startDoorScene(stack.use(await open()).url));
    });
    after(() => stack.disposeAsync());

    const critical = async (how: TargetName = "mqtt"): Promise<{ target: Target; uid: string; device: VirtualDevice }> => {
      const target = await scene.add(how, "critical");
      return { target, uid: target.uid, device: await target.connect() };
    };
    const client = async ({ username, password }: Asker, options: IClientOptions = {}): Promise<MqttClient> =>
      await connectAsync(scene.hub.mqtt, { username, password, protocolVersion: 5, reconnectPeriod: 0, ...options });
    const raw = async (clientId: string): Promise<RawClient> => {
      const { hostname: host, port } = new URL(scene.hub.mqtt);
      const { username, password } = scene.people.operator;
      const made = stack.use(await openRawClient({ host, port: Number(port) }, { version: 4, acknowledges: false }));
      const connack = await made.connect({
        cmd: "connect",
        clientId,
        clean: false,
        keepalive: 60,
        username,
        password: Buffer.from(password),
      });
      assert.equal(connack.returnCode, 0);
      return made;
    };
    const ask = async (uid: string, body: object = {}, who = scene.people.operator): Promise<string> =>
      (await must<{ task_id: string }>(who.api, 202, ["POST", `devices/${uid}/commands`, { ...ON, ...body }])).task_id;
    /** What the device has done, once a harmless command that came after all else is through. */
    const done = async (uid: string, device: VirtualDevice): Promise<number> => {
      const id = newId();
      await must(scene.people.operator.api, 200, ["POST", `devices/${uid}/commands`, { command: "identify", command_id: id }]);
      await until(() => device.executed.some(({ commandId }) => commandId === id), { what: "the last command" });
      return device.executed.filter(({ command }) => command.command !== "identify").length;
    };
    const approve = async (id: string): Promise<void> => {
      assert.equal(await scene.decide(id, "approve"), 200);
      await scene.until(id, "completed");
    };

    test("is not reached by what is retained, left as a will, or said in the hub's name", SLOW, async () => {
      const { uid, device } = await critical();
      const topic = `hexa/${uid}/relay/0/set`;
      for (const who of [scene.people.operator, scene.people.admin, scene.service]) {
        const speaker = await client(who);
        await assert.rejects(speaker.publishAsync(topic, "ON", { qos: 1, retain: true }), who.name);
        for (const type of ["command", "task"])
          await assert.rejects(
            speaker.publishAsync(`hexa/${uid}/down/${type}`, JSON.stringify({ command_id: newId(), ...ON }), { qos: 1 }),
          );
        for (const type of ["task_result", "state_report"])
          await assert.rejects(speaker.publishAsync(`hexa/${uid}/up/${type}`, '{"relays":[{"index":0,"state":"ON"}]}', { qos: 1 }));
        await speaker.endAsync();
        for (const qos of [0, 1, 2] as const)
          await assert.rejects(client(who, { will: { topic, payload: Buffer.from("ON"), qos, retain: false } }), who.name);
      }
      assert.deepEqual([await done(uid, device), (await scene.tasks(uid)).length], [0, 0]);
    });

    test("waits once for a message that comes again, at QoS 1 and 2, on the same connection and the next", SLOW, async () => {
      for (const qos of [1, 2] as const) {
        const { uid, device } = await critical();
        const clientId = `again-${newId()}`;
        const message = { cmd: "publish", topic: `hexa/${uid}/relay/0/set`, payload: "ON", qos, retain: false, messageId: 7 } as const;
        const first = await raw(clientId);
        first.send({ ...message, dup: false });
        const [made] = await until(async () => (await scene.tasks(uid)).length === 1 && scene.tasks(uid), { what: "the task" });
        await first.drop();
        const second = await raw(clientId);
        const answers = qos === 1 ? "puback" : "pubrec";
        for (let again = 0; again < 3; again++) second.send({ ...message, dup: true });
        for (let again = 0; again < 3; again++) await second.pick(answers);
        assert.deepEqual(
          (await scene.tasks(uid)).map(({ id }) => id),
          [made?.id],
          `QoS ${qos}`,
        );
        assert.equal(await done(uid, device), 0);
        await approve(made?.id ?? "");
        assert.equal(await done(uid, device), 1);
        // Decided is decided: the same message is the same task still.
        second.send({ ...message, dup: true });
        await second.pick(answers);
        assert.equal(await done(uid, device), 1);
        assert.equal((await scene.tasks(uid, "open")).length, 0);
      }
    });

    test("says at QoS 2 too what the message waits for", SLOW, async () => {
      const { uid, device } = await critical("plain");
      const speaker = await client(scene.people.operator);
      const id = taskOfReason(await publishFor(speaker, `hexa/${uid}/relay/0/set`, "TOGGLE", 2));
      await speaker.endAsync();
      assert.equal(await done(uid, device), 0);
      await approve(id);
      assert.equal(await done(uid, device), 1);
    });

    test("has one task for a command_id, whoever sends it how often at once", SLOW, async () => {
      const { uid, device } = await critical();
      const [command_id, refused] = [newId(), newId()];
      const ids = await Promise.all(
        Array.from({ length: 10 }, (_, index) => ask(uid, { command_id }, index % 2 ? scene.service : undefined)),
      );
      assert.equal(new Set(ids).size, 1);
      assert.equal((await scene.tasks(uid)).length, 1);
      assert.equal(await done(uid, device), 0);
      await approve(ids[0] ?? "");
      const again = await must<{ status: string }>(scene.people.operator.api, 200, [
        "POST",
        `devices/${uid}/commands`,
        { ...ON, command_id },
      ]);
      assert.deepEqual([again.status, await done(uid, device)], ["ok", 1]);
      assert.equal(await scene.decide(await ask(uid, { command_id: refused }), "reject"), 200);
      const { body } = await scene.people.operator.api.call("POST", `/api/v1/devices/${uid}/commands`, { ...ON, command_id: refused });
      assert.deepEqual([body["code"], await done(uid, device)], ["approval_refused", 1]);
    });

    for (const target of ["mqtt", "plain"] as const)
      test(`that is away (${target}) gets what is queued for it only once that is approved`, SLOW, async () => {
        const { uid, connect } = await scene.add(target, "critical");
        const waiting = await ask(uid, { queue_for_s: 600 });
        const approved = await ask(uid, { queue_for_s: 600, relay: 1 });
        assert.equal(await scene.decide(approved, "approve"), 200);
        const device = await connect();
        await scene.until(approved, "completed");
        assert.equal(await done(uid, device), 1);
        assert.equal((await scene.task(waiting)).status, "awaiting_confirmation");
        await approve(waiting);
        assert.equal(await done(uid, device), 2);
      });

    test("has its lights and its infrared guarded as its relays are", SLOW, async () => {
      const { uid, device } = await critical();
      const speaker = await client(scene.service);
      const light = taskOfReason(await publishFor(speaker, `hexa/${uid}/light/0/set`, '{"state":"ON","brightness":40}'));
      const infrared = taskOfReason(await publishFor(speaker, `hexa/${uid}/ir/send`, '{"timings":[100,-100]}'));
      await speaker.endAsync();
      assert.equal(await done(uid, device), 0);
      assert.equal(await scene.decide(infrared, "reject"), 200);
      await approve(light);
      assert.deepEqual([await done(uid, device), device.irSent, device.state.lights[0]?.brightness], [1, 0, 40]);
    });

    test("goes on waiting when it is called harmless meanwhile, and so does what it was asked", SLOW, async () => {
      const { uid, device } = await critical("plain");
      const waiting = await ask(uid);
      const task = await must<{ task: { id: string } }>(scene.people.operator.api, 201, [
        "POST",
        "tasks",
        { device: uid, name: "By hand", actions: [ON] },
      ]);
      await must(scene.people.admin.api, 403, ["PATCH", `devices/${uid}`, { sensitivity: "low" }]);
      await must(scene.people.admin.api, 403, ["POST", `devices/${uid}/release`, {}]);
      await must(scene.people.owner.api, 200, ["PATCH", `devices/${uid}`, { sensitivity: "low" }]);
      assert.equal(await done(uid, device), 0);
      for (const id of [waiting, task.task.id]) assert.equal((await scene.task(id)).status, "awaiting_confirmation");
      // Neither does another name make it another task.
      await must(scene.people.operator.api, 200, ["PATCH", `tasks/${waiting}`, { name: "Harmless", priority: 9 }]);
      assert.equal(await scene.decide(task.task.id, "reject"), 200);
      await approve(waiting);
      assert.equal(await done(uid, device), 1);
    });

    test("is decided about by those alone who may, once", SLOW, async () => {
      const { uid, device } = await critical();
      const id = await ask(uid);
      for (const [who, status] of [
        [scene.people.operator, 403],
        [scene.service, 403],
        [scene.people.stranger, 404],
      ] as const)
        for (const verdict of ["approve", "reject"])
          assert.equal((await who.api.call("POST", `/api/v1/tasks/${id}/${verdict}`, {})).status, status, `${who.name} ${verdict}`);
      assert.equal((await scene.people.stranger.api.call("GET", `/api/v1/tasks/${id}`)).status, 404);
      assert.equal(await done(uid, device), 0);
      const verdicts = Array.from({ length: 10 }, (_, index) => (index % 2 ? "approve" : "reject"));
      const answers = await Promise.all(
        verdicts.map(async (verdict) => (await scene.people.admin.api.call("POST", `/api/v1/tasks/${id}/${verdict}`, {})).status),
      );
      assert.deepEqual(
        answers.toSorted((a, b) => a - b),
        [200, ...Array.from({ length: 9 }, () => 409)],
      );
      const isApproved = verdicts[answers.indexOf(200)] === "approve";
      await scene.until(id, isApproved ? "completed" : "rejected");
      assert.equal(await done(uid, device), isApproved ? 1 : 0);
    });

    test("takes four eyes where the organisation asks for them, also for what was started by hand", SLOW, async () => {
      const { uid, device } = await critical();
      await scene.setPolicy({ four_eyes: true });
      const { admin } = scene.people;
      const schedule = {
        name: newId(),
        recurrence: { kind: "cron", expression: "0 4 1 1 *" },
        actions: [{ kind: "command", device: uid, command: ON }],
      };
      const byHand = await must<{ schedule: { id: string } }>(admin.api, 201, ["POST", "schedules", schedule]);
      const automation = { name: newId(), triggers: [{ kind: "event", type: "custom.never" }], actions: schedule.actions };
      const run = await must<{ automation: { id: string } }>(admin.api, 201, ["POST", "automations", automation]);
      const starts: readonly (() => Promise<unknown>)[] = [
        () => ask(uid, {}, admin),
        () => must(admin.api, 201, ["POST", "tasks", { device: uid, name: "By hand", actions: [ON] }]),
        () => must(admin.api, 202, ["POST", `schedules/${byHand.schedule.id}/run`]),
        () => must(admin.api, 202, ["POST", `automations/${run.automation.id}/run`]),
      ];
      for (const [index, start] of starts.entries()) {
        await start();
        const [made] = await until(async () => (await scene.tasks(uid)).length === 1 && scene.tasks(uid), { what: `task ${index}` });
        const id = made?.id ?? "";
        assert.equal((await admin.api.call("POST", `/api/v1/tasks/${id}/approve`, {})).status, 403, `start ${index}`);
        assert.equal(await done(uid, device), index);
        await approve(id);
        assert.equal(await done(uid, device), index + 1);
      }
    });

    test("is not asked more often by tasks than by commands before somebody has to approve it", SLOW, async () => {
      const { uid, device } = await (async () => {
        const target = await scene.add("mqtt");
        return { uid: target.uid, device: await target.connect() };
      })();
      await scene.setPolicy({ weights: { device_volume: { above: 4, each: 100, most: 100 } } });
      const made: string[] = [];
      for (let count = 0; count < 8; count++) {
        const body = { device: uid, name: "Often", actions: [ON] };
        made.push((await must<{ task: { status: string } }>(scene.people.operator.api, 201, ["POST", "tasks", body])).task.status);
      }
      assert.deepEqual(made.slice(5), ["awaiting_confirmation", "awaiting_confirmation", "awaiting_confirmation"], made.join(", "));
      await until(() => device.executed.length === 5, { what: "the first five" });
    });
  });
}
