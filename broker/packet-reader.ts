import mqttPacket, { type Packet } from "mqtt-packet";

const CONNECT = 0x10;
/** One parser for each version of the protocol serves all connections: it is given whole packets only. */
const parsers = new Map<number, ReturnType<typeof mqttPacket.parser>>();

/** Reads one whole packet that passed the checks. Throws when the parser disagrees with them. */
export function readPacket(frame: Buffer, version: number): Packet {
  // A CONNECT changes the version of the parser that reads it.
  const key = frame[0] === CONNECT ? CONNECT : version;
  let parser = parsers.get(key);
  if (!parser) parsers.set(key, (parser = mqttPacket.parser({ protocolVersion: version })));
  let packet: Packet | undefined;
  let failure: Error | undefined;
  const onPacket = (one: Packet): void => void (packet ??= one);
  const onError = (error: Error): void => void (failure ??= error);
  parser.on("packet", onPacket).on("error", onError);
  try {
    parser.parse(frame);
  } finally {
    parser.off("packet", onPacket).off("error", onError);
    // What it did not understand must not be read into the next client's packet.
    if (!packet) parsers.delete(key);
  }
  if (failure || !packet) throw failure ?? new Error("a packet without an end");
  return packet;
}
