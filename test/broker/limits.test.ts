import assert from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";
import mqtt from "mqtt";
import mqttPacket, { type Packet } from "mqtt-packet";
import { startHub } from "../support/hub.ts";
import { connectPacket } from "../support/packets.ts";
import { until } from "../support/wait.ts";

test("a device's event carries its own uid, whatever the payload says", async () => {
  await using hub = await startHub();
  await hub.api.login();
  const device = await hub.api.addDevice();
  const client = await mqtt.connectAsync(hub.mqtt, {
    clientId: device.uid,
    username: device.uid,
    password: device.token,
    reconnectPeriod: 0,
  });
  await client.publishAsync(`hexa/${device.uid}/up/input_event`, '{"input":0,"event":"press","uid":"relay-somebody"}', { qos: 1 });
  await client.endAsync();
  const { body } = await hub.api.call<{ data: { data: { uid: string } }[] }>("GET", "/api/v1/events?type=device.input_event");
  assert.deepEqual(
    body.data.map(({ data }) => data.uid),
    [device.uid],
  );
});

test("a client that never releases its QoS 2 messages is cut off after a hundred, and nobody else is", async () => {
  await using hub = await startHub();
  await hub.api.login();
  const device = await hub.api.addDevice();
  const other = await hub.api.addDevice();
  const witness = await mqtt.connectAsync(hub.mqtt, {
    clientId: other.uid,
    username: other.uid,
    password: other.token,
    reconnectPeriod: 0,
  });
  const socket = connect(Number(new URL(hub.mqtt).port), "127.0.0.1");
  let isClosed = false;
  socket
    .resume()
    .on("error", () => undefined)
    .on("close", () => {
      isClosed = true;
    });
  const write = (packet: object): boolean => socket.write(mqttPacket.generate(packet as Packet));
  const { uid, token } = device;
  socket.write(connectPacket({ username: uid, password: token }));
  for (let messageId = 1; messageId <= 300; messageId++)
    write({
      cmd: "publish",
      topic: `hexa/${uid}/up/log`,
      payload: '{"level":"info","message":"x"}',
      qos: 2,
      messageId,
      dup: false,
      retain: false,
    });
  await until(() => isClosed, { what: "the end of the connection" });
  await witness.publishAsync(`hexa/${other.uid}/up/heartbeat`, "{}", { qos: 2 });
  assert.equal(witness.connected, true);
  await witness.endAsync();
});
