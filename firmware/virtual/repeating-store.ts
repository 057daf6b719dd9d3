import { type MqttClient, type Packet, Store } from "mqtt";

/**
 * What a client sent and nobody has acknowledged, over its reconnects. MQTT.js sends it again without DUP, against
 * [MQTT-3.3.1-1], and the hub takes it for something new: here a message has the flag from its first sending on.
 */
export class RepeatingStore extends Store {
  constructor() {
    // What a client that was ended still writes is not looked for in a store that is gone.
    super({ clean: false });
  }

  /** Watches what goes out. Called once, before the client is connected. */
  follow(client: MqttClient): void {
    client.on("packetsend", (packet) => {
      if (packet.cmd === "publish" && packet.qos > 0) this.#sent(packet);
    });
  }

  #sent({ messageId }: Packet): void {
    this.get({ messageId }, (_error, kept) => {
      // Not in the packet itself: on its first way out it has no flag, and it may be the one that is written now.
      if (kept?.cmd === "publish") this.put({ ...kept, dup: true }, () => undefined);
    });
  }
}
