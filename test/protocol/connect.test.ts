import assert from "node:assert/strict";
import mqttPacket from "mqtt-packet";
import { codeOf, hex } from "../support/raw-client.ts";
import { until } from "../support/wait.ts";
import { CONNECT_FLAGS, chapter, endsWith, field, frame, isTurnedAway, propertyField, shown } from "./chapter.ts";

const SUBSCRIBE = Buffer.from([0x82, 6, 0, 1, 0, 1, 0x61, 0]);
const PINGREQ = Buffer.from([0xc0, 0]);
const DISCONNECT = Buffer.from([0xe0, 0]);

const { clean: CLEAN, will: WILL, willQos1: WILL_QOS_1, willQos3: WILL_QOS_3, willRetain: WILL_RETAIN, ...LOGIN } = CONNECT_FLAGS;

export const page = chapter(import.meta, "connect", (statement) => {
  statement(
    { v3: ["MQTT-3.1.0-1"], v5: ["MQTT-3.1.0-1"] },
    "a first packet other than CONNECT ends the connection without an answer",
    async (at) => {
      const publish = mqttPacket.generate(
        { cmd: "publish", topic: at.topic, payload: "x", qos: 0, dup: false, retain: false },
        { protocolVersion: at.version },
      );
      for (const bytes of [PINGREQ, SUBSCRIBE, DISCONNECT, publish]) {
        const client = await at.open();
        client.write(bytes);
        assert.deepEqual(shown(await client.ended()), []);
      }
    },
  );

  statement({ v3: ["MQTT-3.1.0-2"], v5: ["MQTT-3.1.0-2"] }, "a second CONNECT ends the connection", async (at) => {
    const client = await at.connect();
    client.write(at.connectBytes());
    await endsWith(at, client, [0x82]);
  });

  statement({ v3: ["MQTT-3.1.2-1"], v5: ["MQTT-3.1.2-1"] }, "another protocol name is not let in", async (at) => {
    for (const name of ["MQTX", "mqtt", "MQTTX", ""]) {
      const client = await at.open();
      client.write(at.handmadeConnect({ protocol: name }));
      // What another protocol's answer looks like is unknown: a server may answer as 3.1.1 or as 5 would.
      await isTurnedAway(client, [0x01, 0x84]);
    }
  });

  statement(
    { v3: ["MQTT-3.1.2-2"], v5: ["MQTT-3.1.2-2"] },
    "a protocol level that does not exist is answered with a refusal and the end of the connection",
    async (at) => {
      const client = await at.open();
      client.write(at.handmadeConnect({ level: 9 }));
      // As is level 9's.
      await isTurnedAway(client, [0x01, 0x84], at.version === 5);
    },
  );

  statement({ v3: ["3.1.2.2"] }, "a client of MQTT 3.1 is served", async (at) => {
    const client = await at.open();
    const connack = await client.connect({ ...at.connectPacket(), protocolId: "MQIsdp", protocolVersion: 3 });
    assert.equal(codeOf(connack), 0);
    await client.subscribe({ topic: at.topic, qos: 1 });
    await client.publish(at.topic, "of 3.1", { qos: 1 });
    assert.equal((await client.take("publish")).payload.toString(), "of 3.1");
  });

  statement({ v3: ["MQTT-3.1.2-3"], v5: ["MQTT-3.1.2-3"] }, "the reserved flag of CONNECT has to be 0", async (at) => {
    const client = await at.open();
    client.write(at.handmadeConnect({ flags: CLEAN | 1 }));
    await isTurnedAway(client, at.version === 5 ? [0x81, 0x82] : []);
  });

  statement({ v3: ["MQTT-2.2.2-2"], v5: ["MQTT-2.1.3-1"] }, "the reserved bits of CONNECT's first byte have to be 0", async (at) => {
    for (const bits of [1, 2, 8]) {
      const client = await at.open();
      const bytes = at.connectBytes();
      bytes[0] = 0x10 | bits;
      client.write(bytes);
      await isTurnedAway(client, at.version === 5 ? [0x81] : []);
    }
  });

  statement(
    { v3: ["MQTT-3.1.2-11", "MQTT-3.1.2-14"], v5: ["MQTT-3.1.2-11", "MQTT-3.1.2-14"] },
    "will flags that contradict each other are not let in",
    async (at) => {
      const will = [propertyField(at.version), field(at.topic), field("bye")];
      for (const parts of [
        { flags: CLEAN | WILL_QOS_1 },
        { flags: CLEAN | WILL_RETAIN },
        { flags: CLEAN | WILL | WILL_QOS_3, will },
        { flags: CLEAN, will },
      ]) {
        const client = await at.open();
        client.write(at.handmadeConnect(parts));
        await isTurnedAway(client, at.version === 5 ? [0x81, 0x82, 0x9b] : []);
      }
    },
  );

  statement(
    { v3: ["MQTT-3.1.2-19", "MQTT-3.1.2-21", "MQTT-3.1.4-1"], v5: ["MQTT-3.1.2-19", "MQTT-3.1.2-21", "MQTT-3.1.4-1"] },
    "a CONNECT without a field that its flags announce, or with bytes too many, is not let in",
    async (at) => {
      const head = [field("MQTT"), at.version] as const;
      const rest = [0, 60, propertyField(at.version), field(at.newClientId())] as const;
      for (const bytes of [
        frame(0x10, ...head, CLEAN | LOGIN.username, ...rest),
        frame(0x10, ...head, CLEAN | LOGIN.username | LOGIN.password, ...rest, field("name")),
        frame(0x10, ...head, CLEAN, ...rest, field("name")),
        frame(0x10, ...head, CLEAN, 0, 60, propertyField(at.version)),
        at.handmadeConnect({ will: [field("one field too many")] }),
      ]) {
        const client = await at.open();
        client.write(bytes);
        await isTurnedAway(client, at.version === 5 ? [0x81, 0x82] : []);
      }
    },
  );

  statement({ v3: ["MQTT-3.1.2-22"] }, "a password without a user name is not let in", async (at) => {
    const client = await at.open();
    client.write(frame(0x10, field("MQTT"), 4, CLEAN | LOGIN.password, 0, 60, field(at.newClientId()), field("secret")));
    await isTurnedAway(client, []);
  });

  statement(
    { v3: ["MQTT-3.1.3-4", "MQTT-3.1.3-11", "MQTT-1.5.3-1"], v5: ["MQTT-3.1.3-4", "MQTT-3.1.3-10", "MQTT-1.5.4-1"] },
    "a client id or a user name that is no UTF-8 is not let in",
    async (at) => {
      const bad = [Buffer.from([0xff, 0xfe]), Buffer.from([0xed, 0xa0, 0x80]), Buffer.from([0xc0, 0x80]), Buffer.from("a\0b")];
      for (const text of bad) {
        const named = [field(at.newClientId()), field(text), field("password")];
        for (const bytes of [
          at.handmadeConnect({ clientId: text }),
          frame(0x10, field("MQTT"), at.version, CLEAN | LOGIN.username | LOGIN.password, 0, 60, propertyField(at.version), ...named),
        ]) {
          const client = await at.open();
          client.write(bytes);
          await isTurnedAway(client, at.version === 5 ? [0x81, 0x85, 0x86, 0x87] : [0x02, 0x04, 0x05]);
        }
      }
    },
  );

  statement({ v3: ["MQTT-3.1.3-5"], v5: ["MQTT-3.1.3-5"] }, "a client id of 1 to 23 letters and digits is let in", async (at) => {
    const id = `${at.newClientId()}ABCDEFGHIJKLMNOPQRSTUVWXYZ`;
    for (const clientId of [id.slice(0, 23), `Z${at.newClientId()}`]) assert.equal(codeOf((await at.connect({ clientId })).connack), 0);
  });

  statement({ v3: ["MQTT-3.1.3-6"], v5: ["MQTT-3.1.3-6"] }, "clients without an id are told apart", async (at) => {
    const clients = [await at.connect({ clientId: "" }), await at.connect({ clientId: "" })];
    for (const client of clients) await client.ping();
  });

  statement(
    { v3: ["MQTT-3.1.3-8"] },
    "a client without an id that wants to keep its session gets return code 2 and the end of the connection",
    async (at) => {
      const client = await at.open();
      client.write(at.handmadeConnect({ clientId: "", flags: 0 }));
      await isTurnedAway(client, [0x02], false);
    },
  );

  statement(
    { v5: ["MQTT-3.1.3-7", "MQTT-3.2.2-16"] },
    "a client without an id is told the one it was given, and can come back with it",
    async (at) => {
      const ids: string[] = [];
      for (const flags of [CLEAN, 0]) {
        const client = await at.open();
        client.write(at.handmadeConnect({ clientId: "", flags, properties: Buffer.from([0x11, 0, 0, 1, 0]) }));
        const connack = await client.take("connack");
        const id = connack.properties?.assignedClientIdentifier;
        assert.ok(id, `no assigned client identifier, CONNACK ${hex(codeOf(connack))}`);
        ids.push(id);
        await client.disconnect();
      }
      assert.notEqual(ids[0], ids[1]);
      const back = await at.connect(at.lasting({ clientId: ids[0] as string }));
      assert.equal(back.connack.sessionPresent, true);
      assert.equal(back.connack.properties?.assignedClientIdentifier, undefined);
    },
  );

  statement(
    { v3: ["MQTT-3.2.0-1", "MQTT-3.1.4-4"], v5: ["MQTT-3.2.0-1", "MQTT-3.1.4-5"] },
    "a client may send on before CONNACK, and CONNACK is the first that it gets",
    async (at) => {
      const packets = [
        at.connectBytes(),
        mqttPacket.generate(
          { cmd: "subscribe", messageId: 1, subscriptions: [{ topic: at.topic, qos: 1 }] },
          { protocolVersion: at.version },
        ),
        mqttPacket.generate(
          { cmd: "publish", messageId: 2, topic: at.topic, payload: "early", qos: 1, dup: false, retain: false },
          { protocolVersion: at.version },
        ),
      ];
      const client = await at.open();
      for (const bytes of packets) {
        client.write(bytes);
        // So that each comes in a piece of its own.
        await new Promise(setImmediate);
      }
      assert.equal(codeOf(await client.take("connack")), 0);
      assert.deepEqual((await client.pick("suback")).granted, [1]);
      await client.pick("puback");
      assert.equal((await client.take("publish")).payload.toString(), "early");
    },
  );

  statement(
    { v3: ["MQTT-3.1.4-5", "MQTT-3.2.2-4", "MQTT-3.2.2-5"], v5: ["MQTT-3.1.4-6", "MQTT-3.2.2-6", "MQTT-3.2.2-7"] },
    "what follows a refused CONNECT is not looked at",
    async (at) => {
      const client = await at.open();
      const method = Buffer.concat([Buffer.from([0x15]), field("unheard-of")]);
      const refused = at.handmadeConnect(at.version === 5 ? { properties: method } : { clientId: "", flags: 0 });
      const publish = { cmd: "publish", topic: at.topic, payload: "smuggled", qos: 0, dup: false, retain: true } as const;
      client.write(Buffer.concat([refused, mqttPacket.generate(publish, { protocolVersion: at.version })]));
      const connack = await client.take("connack");
      assert.deepEqual([connack.sessionPresent, codeOf(connack) > 0], [false, true]);
      assert.deepEqual(shown(await client.ended()), []);
      const witness = await at.connect();
      await witness.subscribe(at.topic);
      assert.deepEqual(shown(await at.settled(witness, witness)), []);
    },
  );

  statement(
    { v3: ["MQTT-3.1.4-2"], v5: ["MQTT-3.1.4-3"] },
    "a client id that connects again takes the place of the connection it had",
    async (at) => {
      const clientId = at.newClientId();
      const first = await at.connect({ clientId });
      const second = await at.connect({ clientId });
      await endsWith(at, first, [0x8e]);
      await second.ping();
    },
  );

  statement(
    { v3: ["MQTT-3.1.4-2"], v5: ["MQTT-3.1.4-3"] },
    "of many connections with one client id one stays, and it works",
    async (at) => {
      const clientId = at.newClientId();
      const clients = await Promise.all(Array.from({ length: 10 }, () => at.open()));
      for (const client of clients) client.write(at.connectBytes({ clientId }));
      const open = (): typeof clients => clients.filter((client) => !client.isClosed);
      await until(() => open().length === 1, { what: "one connection to be left" });
      const [left] = open();
      await left?.pick("connack");
      await left?.ping();
      // Whoever was let in is told once why it has to go.
      for (const client of clients.filter((each) => each !== left)) {
        const reasons = client.takeAll().filter(({ cmd }) => cmd === "disconnect");
        assert.ok(["", "disconnect 0x8e"].includes(shown(reasons).join()), shown(reasons).join());
      }
    },
  );

  statement(
    { v3: ["MQTT-3.1.3-10", "MQTT-4.7.1-1", "MQTT-4.7.3-1"], v5: ["MQTT-3.1.3-9", "MQTT-4.7.0-1", "MQTT-4.7.3-1"] },
    "a will topic that is empty, has a wildcard or is no UTF-8 is not let in",
    async (at) => {
      for (const topic of ["", `${at.topic}/#`, `${at.topic}/+`, Buffer.from([0x61, 0xff]), "a\0b"]) {
        const client = await at.open();
        client.write(at.handmadeConnect({ flags: CLEAN | WILL, will: [propertyField(at.version), field(topic), field("gone")] }));
        await isTurnedAway(client, at.version === 5 ? [0x81, 0x82, 0x87, 0x90] : [0x05]);
      }
    },
  );

  statement({ v5: ["MQTT-4.12.0-1"] }, "an authentication method that the server does not know is not let in", async (at) => {
    const client = await at.open();
    client.send(at.connectPacket({ properties: { authenticationMethod: "unheard-of", authenticationData: Buffer.from("x") } }));
    await isTurnedAway(client, [0x8c, 0x87]);
  });

  statement({ v5: ["MQTT-4.12.0-7"] }, "AUTH of a client that named no method ends the connection", async (at) => {
    const client = await at.connect();
    client.write(frame(0xf0, 0x19, 0));
    await endsWith(at, client, [0x82]);
  });

  statement(
    { v5: ["MQTT-3.1.4-1", "3.1.2.11"] },
    "properties that are forbidden, doubled or zero where they must not be are not let in",
    async (at) => {
      const wrong = {
        "session expiry twice": Buffer.from([0x11, 0, 0, 0, 1, 0x11, 0, 0, 0, 1]),
        "receive maximum 0": Buffer.from([0x21, 0, 0]),
        "maximum packet size 0": Buffer.from([0x27, 0, 0, 0, 0]),
        "request problem information 2": Buffer.from([0x17, 2]),
        "a topic alias": Buffer.from([0x23, 0, 1]),
        "an unknown property": Buffer.from([0x7f, 1]),
        "a truncated one": Buffer.from([0x11, 0, 0]),
      };
      for (const [what, bytes] of Object.entries(wrong)) {
        const client = await at.open();
        client.write(at.handmadeConnect({ properties: bytes }));
        await isTurnedAway(client, [0x81, 0x82]).catch((error: unknown) => assert.fail(`${what}: ${String(error)}`));
      }
    },
  );

  statement({ v5: ["3.1.2.11.10"] }, "authentication data without a method is not let in", async (at) => {
    const client = await at.open();
    client.write(at.handmadeConnect({ properties: Buffer.concat([Buffer.from([0x16]), field("x")]) }));
    await isTurnedAway(client, [0x81, 0x82]);
  });

  statement({ v5: ["MQTT-3.1.2-31"] }, "response information comes only if it is asked for", async (at) => {
    for (const asked of [{}, { requestResponseInformation: false }]) {
      const client = await at.connect({ properties: asked });
      assert.equal(client.connack.properties?.responseInformation, undefined);
    }
  });

  statement(
    { v5: ["MQTT-3.1.2-32"] },
    "without request problem information no acknowledgement carries a reason string or user properties",
    async (at) => {
      const client = await at.connect({ properties: { requestProblemInformation: false } });
      const packets = [
        await client.publish(at.broker.forbiddenTopic, "x", { qos: 1 }),
        await client.publish(at.broker.forbiddenTopic, "x", { qos: 2 }),
        await client.subscribe("$share/#/x").catch(() => undefined),
      ];
      for (const packet of packets) {
        assert.equal(packet?.properties?.reasonString, undefined);
        assert.equal(packet?.properties?.userProperties, undefined);
      }
    },
  );
});
