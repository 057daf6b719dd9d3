import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { generate, parser, type Packet } from "mqtt-packet";

export interface Account {
  readonly clientId: string;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
}

export interface Target {
  readonly host: string;
  readonly port: number;
}

/** MQTT 3.1.1 on a bare socket: the handshake through a parser, then bytes straight to `receive`. */
export interface RawConnection {
  readonly socket: Socket;
  /** Gets the bytes that arrive after the handshake; the buffer is used again after the call. */
  receive: (buffer: Uint8Array, length: number) => void;
}

const HANDSHAKE_TIMEOUT_MS = 20_000;
const READ_BYTES = 64 * 1024;

/** Rejects when the broker refuses the log-in or the subscription, or does not answer in 20 s. */
export async function openConnection(
  target: Target,
  account: Account,
  options: { filter?: string | undefined; clean?: boolean | undefined } = {},
): Promise<RawConnection> {
  const answers = parser({ protocolVersion: 4 });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const connection: { receive: RawConnection["receive"] } = {
    receive: (buffer, length) => answers.parse(Buffer.from(buffer.subarray(0, length))),
  };
  const socket = connect({
    ...target,
    noDelay: true,
    onread: {
      buffer: Buffer.alloc(READ_BYTES),
      callback: (length, buffer) => {
        connection.receive(buffer, length);
        return true;
      },
    },
  });
  answers.on("packet", (packet: Packet) => {
    const refused = refusal(packet);
    if (refused) reject(new Error(`${account.clientId}: ${refused}`));
    else if (packet.cmd === "connack" && options.filter !== undefined)
      socket.write(generate({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: options.filter, qos: 0 }] }));
    else if (packet.cmd === "connack" || packet.cmd === "suback") resolve();
  });
  answers.on("error", reject);
  socket.once("close", () => reject(new Error(`${account.clientId}: the broker closed the connection`)));
  socket.on("error", reject);
  const timer = setTimeout(() => reject(new Error(`${account.clientId}: no answer in ${HANDSHAKE_TIMEOUT_MS} ms`)), HANDSHAKE_TIMEOUT_MS);
  try {
    await Promise.race([once(socket, "connect"), promise]);
    socket.write(
      generate({
        cmd: "connect",
        protocolId: "MQTT",
        protocolVersion: 4,
        clean: options.clean ?? true,
        keepalive: 600,
        clientId: account.clientId,
        ...(account.username === undefined ? {} : { username: account.username }),
        ...(account.password === undefined ? {} : { password: Buffer.from(account.password) }),
      }),
    );
    await promise;
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    clearTimeout(timer);
  }
  return Object.assign(connection, { socket });
}

/** Opens them 25 at a time, so that a burst of log-ins is not what is measured. */
export async function openAll<T>(
  inputs: readonly T[],
  open: (input: T, index: number) => Promise<RawConnection>,
): Promise<RawConnection[]> {
  const connections: RawConnection[] = [];
  for (let at = 0; at < inputs.length; at += 25)
    connections.push(...(await Promise.all(inputs.slice(at, at + 25).map((input, index) => open(input, at + index)))));
  return connections;
}

export function publishFrame(topic: string, payload: string, messageId?: number): Buffer {
  const packet = { cmd: "publish", topic, payload, dup: false, retain: false } as const;
  return generate(messageId === undefined ? { ...packet, qos: 0 } : { ...packet, qos: 1, messageId });
}

function refusal(packet: Packet): string | undefined {
  if (packet.cmd === "connack" && packet.returnCode !== 0) return `the broker refused the log-in with code ${packet.returnCode}`;
  if (packet.cmd === "suback" && packet.granted.some((code) => Number(code) >= 128)) return "the broker refused the subscription";
  return undefined;
}
