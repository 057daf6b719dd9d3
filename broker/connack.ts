import type { IConnackPacket, Packet } from "mqtt-packet";
import type { MqttLimits } from "../core/settings.ts";
import type { Connection } from "./connection.ts";
import { MAX_TOPIC_ALIASES } from "./inbound.ts";

/** What the CONNACK of MQTT 5 tells of the hub and of the session: what is not named there is available without a limit. */
export function connackProperties(connection: Connection, limits: MqttLimits, topicRoot: string): IConnackPacket["properties"] {
  const { client, connect, principal } = connection;
  const asked = connect?.properties?.sessionExpiryInterval ?? 0;
  const answersAt =
    client._requestResponseInformation && principal && principal.kind !== "device"
      ? `${topicRoot}-app/${principal.organizationId}/bus/response/${client.id}`
      : undefined;
  return {
    topicAliasMaximum: MAX_TOPIC_ALIASES,
    maximumPacketSize: limits.maxPacketBytes,
    receiveMaximum: limits.mqttReceiveMaximum,
    ...(client._assignedClientId === undefined ? {} : { assignedClientIdentifier: client._assignedClientId }),
    ...(client._serverKeepAlive === undefined ? {} : { serverKeepAlive: client._serverKeepAlive }),
    ...(client.sessionExpiryInterval === asked ? {} : { sessionExpiryInterval: client.sessionExpiryInterval }),
    ...(answersAt === undefined ? {} : { responseInformation: answersAt }),
  };
}

/** Whether this is a CONNACK that lets the client in. */
export function isAcceptance(packet: Packet): packet is IConnackPacket {
  return packet.cmd === "connack" && (packet.reasonCode ?? packet.returnCode ?? 0) === 0;
}
