import Type from "typebox";

/** Part of the settings: a broker elsewhere on which Home Assistant is told of an organisation's devices. */
export const HOME_ASSISTANT_SETTINGS = {
  haMqttEnabled: Type.Boolean({
    default: false,
    description: "Tell Home Assistant of devices on a broker elsewhere, which the hub connects to: docs/home-assistant.md.",
  }),
  haMqttUrl: Type.Optional(
    Type.String({
      pattern: "^mqtts?://[^\\s@/]+(:\\d{1,5})?/?$",
      description: "That broker: mqtts://broker.example:8883, or mqtt:// without TLS, where everything crosses the network readable.",
    }),
  ),
  haMqttUsername: Type.Optional(Type.String({ minLength: 1, maxLength: 256, description: "What the hub logs in with there." })),
  haMqttPassword: Type.Optional(Type.String({ writeOnly: true, description: "The password that goes with HA_MQTT_USERNAME." })),
  haMqttOrganization: Type.Optional(
    Type.String({ description: "Id of the organisation whose devices are told of. A hub with one organisation needs none." }),
  ),
  haMqttForm: Type.Enum(["device", "component"], {
    default: "device",
    description: "One discovery message a device, or, for Home Assistant before 2024.11, one for each thing that it has.",
  }),
  haMqttRejectUnauthorized: Type.Boolean({
    default: true,
    description: "Whether a certificate of that broker that cannot be verified ends the connection. false trusts whoever answers.",
  }),
  haMqttCaFile: Type.Optional(
    Type.String({ description: "PEM certificates of the authorities that may have signed the broker's certificate." }),
  ),
  haMqttCertFile: Type.Optional(Type.String({ description: "PEM certificate that the hub shows that broker." })),
  haMqttKeyFile: Type.Optional(Type.String({ description: "PEM private key that belongs to HA_MQTT_CERT_FILE." })),
  haMqttKeyPassphrase: Type.Optional(Type.String({ writeOnly: true, description: "Passphrase of HA_MQTT_KEY_FILE." })),
  haMqttSniServername: Type.Optional(
    Type.String({
      pattern: "^[A-Za-z0-9._-]{1,253}$",
      description: "Name that the broker's certificate has to be for, where it is not the URL's.",
    }),
  ),
  haMqttKeepaliveS: Type.Integer({
    default: 60,
    minimum: 5,
    maximum: 3_600,
    description: "How long either side may be silent, in seconds.",
  }),
  mqttHomeSubscriptions: Type.Integer({
    default: 20_000,
    minimum: 1,
    maximum: 100_000,
    description: "Subscriptions of one session of an account that is for a smart home: Home Assistant subscribes to each topic by itself.",
  }),
  haMqttConnectTimeoutMs: Type.Integer({
    default: 30_000,
    minimum: 100,
    maximum: 300_000,
    description: "How long that broker may take to let the hub in, in milliseconds.",
  }),
};
