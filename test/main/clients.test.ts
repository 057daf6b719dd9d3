import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { startHub, type TestHub } from "../support/hub.ts";
import { mosquittoMissing, pahoMissing, pythonWithPaho } from "../support/services.ts";
import { until } from "../support/wait.ts";

const run = promisify(execFile);

describe("clients that nobody here wrote do the main job", () => {
  let hub: TestHub;
  before(async () => {
    hub = await startHub();
    await hub.api.login();
  });
  after(() => hub[Symbol.asyncDispose]());

  async function readings(uid: string, key: string): Promise<number[]> {
    const { body } = await hub.api.call<{ data: { value: number }[] }>("GET", `/api/v1/readings?device=${uid}&key=${key}`);
    return body.data.map(({ value }) => value);
  }

  for (const [version, flag] of [
    ["3.1.1", "mqttv311"],
    ["5", "mqttv5"],
  ] as const) {
    for (const transport of ["plain", "TLS"] as const) {
      test(`mosquitto_pub and mosquitto_sub, MQTT ${version}, ${transport}: a reading in, a command out, an acknowledgement back`, {
        skip: mosquittoMissing(),
      }, async () => {
        const { uid, token } = await hub.api.addDevice();
        const url = new URL(transport === "TLS" ? hub.mqtts : hub.mqtt);
        const account = [
          "-V",
          flag,
          "-h",
          url.hostname,
          "-p",
          url.port,
          "-u",
          uid,
          "-P",
          token,
          ...(transport === "TLS" ? ["--cafile", hub.ca] : []),
        ];
        await run("mosquitto_pub", [
          ...account,
          "-i",
          uid,
          "-q",
          "1",
          "-t",
          `hexa/${uid}/up/telemetry`,
          "-m",
          '{"values":{"temperature":21.5}}',
        ]);
        assert.deepEqual(await readings(uid, "temperature"), [21.5]);

        const subscriber = spawn("mosquitto_sub", [...account, "-i", uid, "-q", "1", "-c", "-t", `hexa/${uid}/down/command`], {
          stdio: ["ignore", "pipe", "ignore"],
        });
        const gone = once(subscriber, "exit");
        const commands: string[] = [];
        createInterface({ input: subscriber.stdout }).on("line", (line) => commands.push(line));
        const answer = until(
          async () => {
            const reply = await hub.api.call("POST", `/api/v1/devices/${uid}/commands`, {
              command: "set_relay",
              relay: 0,
              state: "ON",
              timeout_ms: 10_000,
            });
            return reply.body["code"] === "device_offline" ? undefined : reply;
          },
          { what: "the command's answer", timeoutMs: 20_000 },
        );
        await until(() => commands.length > 0, { what: "the command at mosquitto_sub" });
        const { command_id } = JSON.parse(commands[0] as string) as { command_id: string };
        // The acknowledgement comes over a session of its own, which takes the device's place.
        await run("mosquitto_pub", [
          ...account,
          "-i",
          uid,
          "-q",
          "1",
          "-t",
          `hexa/${uid}/up/ack`,
          "-m",
          JSON.stringify({ command_id, status: "ok", state: "ON" }),
        ]);
        const { status, body } = await answer;
        assert.deepEqual([status, body["state"]], [200, "ON"]);
        subscriber.kill();
        await gone;
      });
    }
  }

  test("mosquitto_pub is told that a wrong password is wrong", { skip: mosquittoMissing() }, async () => {
    const { uid } = await hub.api.addDevice();
    const url = new URL(hub.mqtt);
    await assert.rejects(
      run("mosquitto_pub", [
        "-h",
        url.hostname,
        "-p",
        url.port,
        "-i",
        uid,
        "-u",
        uid,
        "-P",
        "wrong",
        "-t",
        `hexa/${uid}/up/telemetry`,
        "-m",
        "{}",
      ]),
      /not authori[sz]ed|bad user name or password/i,
    );
  });

  for (const version of ["MQTTv311", "MQTTv5"]) {
    test(`paho-mqtt for Python, ${version} over TLS: obeys a command and sends a reading`, { skip: pahoMissing() }, async () => {
      const { uid, token } = await hub.api.addDevice();
      const url = new URL(hub.mqtts);
      const child = spawn(
        pythonWithPaho() as string,
        [new URL("paho-device.py", import.meta.url).pathname, version, url.hostname, url.port, hub.ca, uid],
        { stdio: ["pipe", "pipe", "inherit"] },
      );
      const gone = once(child, "exit");
      child.stdin.end(token);
      const said: string[] = [];
      createInterface({ input: child.stdout }).on("line", (line) => said.push(line));
      await until(() => said.includes("subscribed"), { what: "paho's subscription" });
      const { status, body } = await hub.api.call("POST", `/api/v1/devices/${uid}/commands`, {
        command: "set_relay",
        relay: 1,
        state: "ON",
      });
      assert.deepEqual([status, body["state"]], [200, "ON"]);
      const [code] = (await gone) as [number];
      assert.equal(code, 0);
      assert.deepEqual(await readings(uid, "humidity"), [48]);
    });
  }
});
