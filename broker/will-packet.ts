import mqttPacket, { type IPublishPacket } from "mqtt-packet";
import type { Principal } from "../core/principal.ts";
import type { ConnectPacket } from "./aedes-internals.ts";
import { readPublish } from "./inbound.ts";
import { Message } from "./message.ts";
import type { Will } from "./wills.ts";

type WillProperties = NonNullable<IPublishPacket["properties"]> & { readonly willDelayInterval?: number };
type WillPacket = NonNullable<ConnectPacket["will"]>;

/** A CONNECT's will as a message: its properties are read as those of the PUBLISH that it will be. */
export function willOf(packet: WillPacket, principal: Principal): Will {
  const { topic, payload, qos, retain } = packet;
  const { willDelayInterval = 0, messageExpiryInterval, ...properties } = (packet.properties ?? {}) as WillProperties;
  const publish: IPublishPacket = { cmd: "publish", topic, payload, qos, retain, dup: false, messageId: 1, properties };
  const frame = mqttPacket.generate(publish, { protocolVersion: 5 });
  const inbound = readPublish({ version: 5, aliases: undefined }, frame, 0, frame.length, 0);
  if (!inbound) throw new Error("a will without a topic");
  const expiryMs = messageExpiryInterval === undefined ? undefined : messageExpiryInterval * 1_000;
  return { principal, delayMs: willDelayInterval * 1_000, expiryMs, message: new Message(inbound) };
}
