import Type from "typebox";

const port = (fallback: number, description: string) =>
  Type.Integer({ default: fallback, minimum: 0, maximum: 65_535, description: `${description} 0 takes any free port.` });

/** Part of the settings: where the hub listens. */
export const LISTENER_SETTINGS = {
  httpPort: port(8080, "REST API, documentation and MQTT over WebSocket (/mqtt)."),
  mqttPort: port(1883, "Plain MQTT; see HEXA_MQTT_PLAIN."),
  mqttsPort: port(8883, "MQTT over TLS; see HEXA_MQTT_TLS."),
  mqttPlain: Type.Enum(["loopback", "lan", "off"], {
    default: "loopback",
    description:
      "Where plain MQTT listens: on 127.0.0.1 whatever HEXA_HOST says, on HEXA_HOST (passwords then cross the network readable), or nowhere.",
  }),
  mqttTls: Type.Enum(["loopback", "lan", "off"], {
    default: "lan",
    description: "Where MQTT over TLS listens: on 127.0.0.1 whatever HEXA_HOST says, on HEXA_HOST, or nowhere.",
  }),
  mqttWebsocket: Type.Enum(["on", "off"], {
    default: "on",
    description: "Whether HEXA_HTTP_PORT takes MQTT over WebSocket (/mqtt).",
  }),
};
