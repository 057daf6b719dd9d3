import type { ClientInternals, DeliveredPacket } from "./aedes-internals.ts";

/** How many deliveries back an overlapping subscription can repeat a message: as many as are in one socket's turn. */
const REMEMBERED = 64;

/**
 * An exception while a packet is parsed or handled ends that connection and nothing else. The beta dies of two packets
 * otherwise: a CONNECT with a truncated session-expiry property and a PUBLISH with a truncated response topic.
 */
export function guardParser(client: ClientInternals, onFault: (error: unknown, chunk: Buffer) => void): void {
  const parser = client._parser;
  const parse = parser.parse.bind(parser);
  parser.parse = function guarded(chunk) {
    try {
      return parse(chunk);
    } catch (error) {
      onFault(error, chunk);
      client.conn.destroy();
      return 0;
    }
  };
}

/**
 * Aedes remembers only the highest message counter a broker sent to the client, and drops a message that another one
 * overtook as if it were a duplicate. Here the last identities are remembered instead, so that only a message that two
 * overlapping subscriptions of the client match is sent once.
 */
export function rememberIdentities(client: ClientInternals): void {
  client.duplicates = new Proxy({}, { get: () => 0, set: () => true });
  const { deliver0, deliverQoS } = client;
  let recent: Set<string> | undefined;
  const isRepeated = (packet: DeliveredPacket): boolean => {
    // A single subscription cannot match twice; without an identity it is a retained message, sent once by its caller.
    if (!packet.brokerId || Object.keys(client.subscriptions).length < 2) return false;
    const identity = `${packet.brokerId}:${packet.brokerCounter}`;
    recent ??= new Set();
    if (recent.has(identity)) return true;
    recent.add(identity);
    if (recent.size > REMEMBERED) recent.delete(recent.values().next().value as string);
    return false;
  };
  client.deliver0 = (packet, done) => (isRepeated(packet) ? setImmediate(done) : deliver0(packet, done));
  // QoS 0 messages come back through deliver0, where they are looked at.
  client.deliverQoS = (packet, done) => (packet.qos !== 0 && isRepeated(packet) ? setImmediate(done) : deliverQoS(packet, done));
}
