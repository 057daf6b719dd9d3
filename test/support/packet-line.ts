import { EventEmitter, once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import mqttPacket, { type Packet } from "mqtt-packet";

/** A line to a broker that knows packets of MQTT 5: acknowledgements of messages can be held back while everything else goes through. */
export interface PacketLine extends AsyncDisposable {
  readonly port: number;
  /** Connections so far. */
  readonly opened: number;
  /** What the broker sends, when it has gone on to the client. */
  readonly passed: EventEmitter<{ message: [topic: string, text: string] }>;
  hold(): void;
  release(): void;
}

const MQTT_5 = { protocolVersion: 5 };

/** `change`: what becomes of a packet that the broker sends. */
export async function startPacketLine(brokerPort: number, change = (packet: Packet): Packet => packet): Promise<PacketLine> {
  const passed: PacketLine["passed"] = new EventEmitter();
  const sockets = new Set<Socket>();
  let held: (() => void)[] | undefined;
  let opened = 0;
  const server = createServer((client) => {
    opened++;
    const broker = connect({ port: brokerPort, host: "127.0.0.1", noDelay: true });
    for (const [one, other] of [
      [client, broker],
      [broker, client],
    ] as const) {
      sockets.add(one);
      one.on("error", () => other.destroy()).once("close", () => (sockets.delete(one), other.destroy()));
    }
    client.setNoDelay(true).pipe(broker);
    const parser = mqttPacket.parser(MQTT_5);
    parser.on("packet", (packet) => {
      const pass = (): boolean => client.write(mqttPacket.generate(change(packet), MQTT_5));
      if (packet.cmd === "puback" && held) held.push(pass);
      else pass();
      if (packet.cmd === "publish") passed.emit("message", packet.topic, packet.payload.toString());
    });
    broker.on("data", (bytes) => parser.parse(bytes));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    passed,
    get opened() {
      return opened;
    },
    hold: () => {
      held = [];
    },
    release: () => {
      const waiting = held;
      held = undefined;
      for (const pass of waiting ?? []) pass();
    },
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
