import { generate, parser, type Packet } from "mqtt-packet";
import type { QoS, Version } from "./packets.ts";
import { openWire, type Target, type Wire } from "./wire.ts";

export interface Account {
  readonly clientId: string;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
}

export interface ConnectionOptions {
  /** Subscribed to before the connection counts as open. */
  readonly filter?: string | undefined;
  readonly qos?: QoS | undefined;
  readonly clean?: boolean | undefined;
  readonly version?: Version | undefined;
}

const HANDSHAKE_TIMEOUT_MS = 20_000;
const OPEN_AT_ONCE = 25;

/** The handshake through a parser, then bytes straight to `receive`. Rejects when the broker refuses it or does not answer in 20 s. */
export async function openConnection(target: Target, account: Account, options: ConnectionOptions = {}): Promise<Wire> {
  const { filter, qos = 0, version = 4 } = options;
  const answers = parser({ protocolVersion: version });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const wire = await openWire(target, (buffer, start, end) => answers.parse(Buffer.from(buffer.subarray(start, end))));
  const { socket } = wire;
  const send = (packet: Packet) => socket.write(wire.wrap(generate(packet, { protocolVersion: version })));
  answers.on("packet", (packet: Packet) => {
    const refused = refusal(packet);
    if (refused) reject(new Error(`${account.clientId}: ${refused}`));
    else if (packet.cmd === "connack" && filter !== undefined)
      send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: filter, qos }] });
    else if (packet.cmd === "connack" || packet.cmd === "suback") resolve();
  });
  answers.on("error", reject);
  socket.once("close", () => reject(new Error(`${account.clientId}: the broker closed the connection`)));
  socket.on("error", reject);
  const timer = setTimeout(() => reject(new Error(`${account.clientId}: no answer in ${HANDSHAKE_TIMEOUT_MS} ms`)), HANDSHAKE_TIMEOUT_MS);
  try {
    send({
      cmd: "connect",
      protocolId: "MQTT",
      protocolVersion: version,
      clean: options.clean ?? true,
      keepalive: 600,
      clientId: account.clientId,
      ...(account.username === undefined ? {} : { username: account.username }),
      ...(account.password === undefined ? {} : { password: Buffer.from(account.password) }),
    });
    await promise;
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    clearTimeout(timer);
  }
  return wire;
}

/** Opens them 25 at a time, so that a burst of log-ins is not what is measured. */
export async function openAll<T>(inputs: readonly T[], open: (input: T, index: number) => Promise<Wire>): Promise<Wire[]> {
  const wires: Wire[] = [];
  for (let at = 0; at < inputs.length; at += OPEN_AT_ONCE)
    wires.push(...(await Promise.all(inputs.slice(at, at + OPEN_AT_ONCE).map((input, index) => open(input, at + index)))));
  return wires;
}

function refusal(packet: Packet): string | undefined {
  if (packet.cmd === "connack") {
    const code = packet.reasonCode ?? packet.returnCode ?? 0;
    return code === 0 ? undefined : `the broker refused the log-in with code ${code}`;
  }
  if (packet.cmd === "suback" && packet.granted.some((code) => Number(code) >= 128)) return "the broker refused the subscription";
  return undefined;
}
