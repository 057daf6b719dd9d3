import type { Enrolled, Place } from "./place.ts";

/** What the texts are filled with. */
export interface Filling {
  readonly enrolled: Enrolled;
  readonly place: Place;
  /** Of the hub's HTTP: `http://hub.local:8080` */
  readonly origin: string;
  /** The certificate that the hub's own is signed with; undefined for plain MQTT. */
  readonly ca: string | undefined;
}

/** A first reading, sent from a shell. */
export function publishLine({ enrolled, place, origin }: Omit<Filling, "ca">): string {
  const { device_uid: uid, device_token: token, topics } = enrolled;
  const fetched = place.isTls ? `curl -so hexahub-ca.pem ${origin}/ca.pem && ` : "";
  const trust = place.isTls ? " --cafile hexahub-ca.pem" : "";
  return `${fetched}mosquitto_pub -V 5 -h ${place.host} -p ${place.port}${trust} -i ${uid} -u ${uid} -P '${token}' -q 1 -t ${topics.up["telemetry"]} -m '{"values":{"temperature":21.5}}'`;
}

/** ESPHome publishes and subscribes nothing by itself: the hub takes from a device its own topics alone. */
export function esphome({ enrolled, place, ca }: Filling): string {
  const { device_uid: uid, device_token: token, topics } = enrolled;
  const presence = (name: string, payload: string) => `  ${name}:
    topic: ${topics.availability}
    payload: ${payload}
    qos: 1
    retain: true
`;
  return `mqtt:
  broker: ${place.host}
  port: ${place.port}
  client_id: ${uid}
  username: ${uid}
  password: "${token}"
  topic_prefix: null
  discovery: false
  discover_ip: false
${presence("birth_message", "online")}${presence("will_message", "offline")}${presence("shutdown_message", "offline")}${ca === undefined ? "" : `  certificate_authority: |-\n${indented(ca, 4)}\n`}${hasRelays(enrolled) ? esphomeCommands(enrolled) : ""}
sensor:
  - platform: wifi_signal
    name: Signal
    update_interval: 30s
    on_value:
      - mqtt.publish_json:
          topic: ${topics.up["telemetry"]}
          qos: 1
          payload: |-
            root["values"]["signal"] = x;
${hasRelays(enrolled) ? esphomeRelay(enrolled) : ""}`;
}

const hasRelays = ({ device }: Enrolled): boolean => (device.capabilities.relays ?? 0) > 0;

function esphomeCommands({ topics }: Enrolled): string {
  const answer = (lines: readonly string[]) => `            - mqtt.publish_json:
                topic: ${topics.up["ack"]}
                qos: 1
                payload: |-
                  root["command_id"] = x["command_id"];
${lines.map((line) => `                  ${line}\n`).join("")}`;
  return `  on_json_message:
    topic: ${topics.down["command"]}
    qos: 1
    then:
      - if:
          condition:
            lambda: 'return x["command"] == "set_relay" && x["relay"] == 0;'
          then:
            - lambda: 'if (x["state"] == "ON") id(relay_0).turn_on(); else id(relay_0).turn_off();'
${answer(['root["status"] = "ok";', 'root["state"] = x["state"];'])}          else:
${answer(['root["status"] = "error";', 'root["error"] = "not supported";'])}`;
}

function esphomeRelay({ topics }: Enrolled): string {
  const report = (trigger: string, state: string) => `    ${trigger}:
      - mqtt.publish:
          topic: ${topics.up["state_report"]}
          qos: 1
          payload: '{"relays":[{"index":0,"state":"${state}"}]}'
`;
  return `
switch:
  - platform: gpio
    id: relay_0
    name: Relay
    pin: GPIO16
${report("on_turn_on", "ON")}${report("on_turn_off", "OFF")}`;
}

/** Tasmota's last will has a topic that no device may use here, and cannot be another: it reports over HTTP. */
export function tasmota({ enrolled, origin }: Pick<Filling, "enrolled" | "origin">): string {
  const { device_uid: uid, device_token: token } = enrolled;
  const query = `WebQuery ${origin}/api/v1/devices/sensor-report POST [Content-Type:application/json|X-Device-Uid:${uid}|X-Device-Token:${token}]`;
  return `${query} {"values":{"temperature":21.5}}

Rule1 ON Tele-AM2301#Temperature DO ${query} {"values":{"temperature":%value%}} ENDON
Rule1 1
`;
}

/** For an ESP32. */
export function arduino({ enrolled, place, ca }: Filling): string {
  const { device_uid: uid, device_token: token, topics } = enrolled;
  const client = place.isTls ? "WiFiClientSecure" : "WiFiClient";
  return `#include <PubSubClient.h>
#include <${client}.h>

const char *WIFI_NAME = "", *WIFI_PASSWORD = "";
const char *UID = "${uid}";
const char *TOKEN = "${token}";
${ca === undefined ? "" : `const char CA[] = R"(${ca.trim()}\n)";\n`}
${client} net;
PubSubClient mqtt(net);
uint32_t sentAt = 0;

void setup() {
  WiFi.begin(WIFI_NAME, WIFI_PASSWORD);
${ca === undefined ? "" : "  net.setCACert(CA);\n"}  mqtt.setServer("${place.host}", ${place.port}).setKeepAlive(60).setBufferSize(1024);
}

bool connectHub() {
  const char *availability = "${topics.availability}";
  if (!mqtt.connect(UID, UID, TOKEN, availability, 1, true, "offline", false)) return false;
  mqtt.publish(availability, "online", true);
  mqtt.publish("${topics.up["register"]}", "{\\"firmware_version\\":\\"1.0.0\\",\\"model\\":\\"ESP32\\"}");
  return true;
}

void loop() {
  if (WiFi.status() != WL_CONNECTED) return delay(100);
  if (!mqtt.connected() && !connectHub()) return delay(5000);
  mqtt.loop();
  if (sentAt != 0 && millis() - sentAt < 30000) return;
  sentAt = millis();
  String json = "{\\"values\\":{\\"signal\\":" + String(WiFi.RSSI()) + "}}";
  mqtt.publish("${topics.up["telemetry"]}", json.c_str());
}
`;
}

const indented = (text: string, by: number): string => text.trim().replaceAll(/^/gm, " ".repeat(by));
