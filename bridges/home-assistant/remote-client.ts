import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { Socket } from "node:net";
import mqtt, { ErrorWithSubackPacket, type IClientOptions, type IPublishPacket, type MqttClient } from "mqtt";
import type { Config } from "../../core/config.ts";
import { HubError } from "../../core/errors.ts";
import type { MessageIdentity } from "../../core/message-identity.ts";

/** A message of the other broker. */
export interface RemoteMessage {
  readonly topic: string;
  readonly payload: Buffer;
  readonly isRetained: boolean;
  /** undefined for QoS 0: such a message is sent once, whatever becomes of it. */
  readonly identity: MessageIdentity | undefined;
}

export interface RemoteClientOptions {
  readonly config: Config;
  readonly clientId: string;
  readonly will: { readonly topic: string; readonly payload: string };
  /** Resolves when what the message means is durable: only then it is acknowledged. Rejects where it has to come again. */
  readonly onMessage: (message: RemoteMessage) => Promise<void>;
  readonly onConnect: () => void;
  /** `isOwnDoing`: so that a message comes again that could not be taken. */
  readonly onClose: (isOwnDoing: boolean) => void;
  readonly onError: (error: unknown) => void;
}

/** Commands that wait for longer are nobody's wish any more. */
const SESSION_EXPIRY_S = 300;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 4_000;
/** A connection that lasts for so long is a sound one: the next pause is the first one again. */
const SOUND_MS = 5_000;
const DIGEST_BYTES = 16;
/** Reason codes from here on are refusals. */
const REFUSED = 0x80;
/** Of a broker that does not speak MQTT 5. */
const VERSION_REFUSED: ReadonlySet<unknown> = new Set([1, 132]);

/** Connects, and again for as long as it is there. Rejects when the files of its certificates cannot be read. */
export async function connectRemote(options: RemoteClientOptions): Promise<MqttClient> {
  const { config, clientId, onConnect, onClose, onError } = options;
  const { will } = options;
  const given: IClientOptions = {
    protocolVersion: 5,
    clientId,
    clean: false,
    properties: { sessionExpiryInterval: SESSION_EXPIRY_S },
    will: { topic: will.topic, payload: Buffer.from(will.payload), qos: 1, retain: true },
    keepalive: config.haMqttKeepaliveS,
    connectTimeout: config.haMqttConnectTimeoutMs,
    reconnectPeriod: FIRST_PAUSE_MS,
    reconnectOnConnackError: true,
    resubscribe: false,
    queueQoSZero: false,
    ...(config.haMqttUsername === undefined ? {} : { username: config.haMqttUsername }),
    ...(config.haMqttPassword === undefined ? {} : { password: config.haMqttPassword }),
    ...(await tlsOf(config)),
  };
  const client = mqtt.connect(config.haMqttUrl as string, given);
  let failures = 0;
  let isOwnDoing = false;
  let sound: NodeJS.Timeout | undefined;
  const take = async (packet: IPublishPacket, done: () => void): Promise<void> => {
    try {
      await options.onMessage(messageOf(packet, clientId));
    } catch (error) {
      // Not acknowledged: the broker sends it again with the next connection.
      onError(error);
      isOwnDoing = true;
      client.stream.destroy();
      return;
    }
    done();
  };
  client.handleMessage = (packet, done) => void take(packet, done);
  client.on("connect", () => {
    sound = setTimeout(() => {
      failures = 0;
      client.options.reconnectPeriod = FIRST_PAUSE_MS;
    }, SOUND_MS).unref();
    // MQTT.js leaves Nagle's algorithm on: a state behind an acknowledgement would wait for the broker's own, 40 ms.
    if (client.stream instanceof Socket) client.stream.setNoDelay(true);
    onConnect();
  });
  client.on("reconnect", () => {
    failures++;
    client.options.reconnectPeriod = Math.round(Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** failures) * (0.5 + Math.random() / 2));
  });
  client.on("close", () => {
    clearTimeout(sound);
    onClose(isOwnDoing);
    isOwnDoing = false;
  });
  client.on("error", (error) => {
    if (VERSION_REFUSED.has((error as { code?: unknown }).code)) client.options.protocolVersion = 4;
    else onError(error);
  });
  return client;
}

async function tlsOf(config: Config): Promise<IClientOptions> {
  if (!config.haMqttUrl?.startsWith("mqtts:")) return {};
  const { haMqttCaFile: ca, haMqttCertFile: cert, haMqttKeyFile: key, haMqttKeyPassphrase: passphrase, haMqttSniServername } = config;
  return {
    rejectUnauthorized: config.haMqttRejectUnauthorized,
    ...(ca === undefined ? {} : { ca: await readFile(ca) }),
    ...(cert === undefined ? {} : { cert: await readFile(cert) }),
    ...(key === undefined ? {} : { key: await readFile(key) }),
    ...(passphrase === undefined ? {} : { passphrase }),
    ...(haMqttSniServername === undefined ? {} : { servername: haMqttSniServername }),
  };
}

/** Whose packet it is the other broker alone knows: the same id, topic and payload again is the same message. */
function messageOf({ topic, payload, qos, retain, messageId, dup }: IPublishPacket, clientId: string): RemoteMessage {
  const bytes = Buffer.isBuffer(payload) ? payload : Buffer.from(payload);
  const digest = createHash("sha256").update(`${topic}\0`).update(bytes).digest().toString("hex", 0, DIGEST_BYTES);
  const identity =
    qos === 0 || messageId === undefined ? undefined : { clientId: `remote:${clientId}`, packetId: messageId, digest, isRepeated: dup };
  return { topic, payload: bytes, isRetained: retain, identity };
}

export interface RemoteWrite {
  readonly topic: string;
  readonly payload: string;
  readonly retain: boolean;
}

/** Resolves when the other broker has it. Rejects with its reason code when it refuses it, and when the connection ends before. */
export function publishRemote(client: MqttClient, { topic, payload, retain }: RemoteWrite, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    let id = 0;
    const lost = (): void => {
      reject(new HubError("unavailable", "the connection to Home Assistant's broker was lost"));
      // Else MQTT.js sends it before everything else of the next connection, which may be what that one ends of.
      client.removeOutgoingMessage(id);
    };
    if (!client.connected || signal.aborted) return lost();
    signal.addEventListener("abort", lost, { once: true });
    client.publish(topic, payload, { qos: 1, retain }, (error) => {
      signal.removeEventListener("abort", lost);
      if (error) reject(error);
      else resolve();
    });
    id = client.getLastMessageId();
  });
}

/** Resolves to those that the other broker refuses. Rejects when the connection ends before. */
export async function subscribeRemote(client: MqttClient, filters: readonly string[]): Promise<string[]> {
  try {
    await client.subscribeAsync([...filters], { qos: 1, rh: 2 });
    return [];
  } catch (error) {
    // Without one where the connection ended instead.
    const packet = error instanceof ErrorWithSubackPacket ? (error.packet as typeof error.packet | undefined) : undefined;
    if (!packet) throw error;
    const { granted } = packet;
    return filters.filter((_, index) => Number(granted[index]) >= REFUSED);
  }
}
