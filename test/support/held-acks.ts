import { EventEmitter, once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import mqttPacket from "mqtt-packet";

/** A line to a broker whose acknowledgements of messages can be held back, while everything else goes through; for MQTT 5. */
export interface HeldAcks extends AsyncDisposable {
  readonly port: number;
  /** What the broker sends, when it has gone on to the client. */
  readonly passed: EventEmitter<{ message: [topic: string, text: string] }>;
  hold(): void;
  release(): void;
}

const MQTT_5 = { protocolVersion: 5 };

export async function startHeldAcks(brokerPort: number): Promise<HeldAcks> {
  const passed: HeldAcks["passed"] = new EventEmitter();
  const sockets = new Set<Socket>();
  let held: (() => void)[] | undefined;
  const server = createServer((client) => {
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
      const pass = (): boolean => client.write(mqttPacket.generate(packet, MQTT_5));
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
