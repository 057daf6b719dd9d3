// Four relays for Hexahub on an ESP32. See README.md: not compiled in CI.
#include <ArduinoJson.h>
#include <Preferences.h>
#include <PubSubClient.h>
#include <WiFiClientSecure.h>
#include <time.h>

const char *WIFI_NAME = "", *WIFI_PASSWORD = "";
const char *HUB_HOST = "";
const char *UID = "", *TOKEN = "";  // device_uid and device_token
const char CA[] = R"(-----BEGIN CERTIFICATE-----
-----END CERTIFICATE-----)";

const int RELAYS = 4, PINS[RELAYS] = {16, 17, 18, 19}, REMEMBERED = 256;

WiFiClientSecure tls;
PubSubClient mqtt(tls);
Preferences flash;
uint32_t heartbeatMs = 30000, lastBeat = 0, retryMs = 1000, retryAt = 0;
bool clockIsSet = false;

String topicOf(const char *rest) { return String("hexa/") + UID + "/" + rest; }

void publish(const char *rest, JsonDocument &json) {
  String text;
  serializeJson(json, text);
  mqtt.publish(topicOf(rest).c_str(), text.c_str());
}

// A ring of the last ids ('i') with their answers ('a'); NVS levels the wear.
String slotKey(char kind, int slot) { return String(kind) + slot; }

bool findAnswer(const String &id, String &answer) {
  for (int slot = 0; slot < REMEMBERED; slot++) {
    if (flash.getString(slotKey('i', slot).c_str(), "") != id) continue;
    answer = flash.getString(slotKey('a', slot).c_str(), "");
    return true;
  }
  return false;
}

// Before the effect: a power cut in between loses the command instead of doing it twice.
int remember(const String &id) {
  int slot = flash.getInt("next", 0);
  flash.putString(slotKey('a', slot).c_str(), "");
  flash.putString(slotKey('i', slot).c_str(), id);
  flash.putInt("next", (slot + 1) % REMEMBERED);
  return slot;
}

void reportAll() {
  JsonDocument report;
  for (int i = 0; i < RELAYS; i++) {
    JsonObject relay = report["relays"].add<JsonObject>();
    relay["index"] = i;
    relay["state"] = digitalRead(PINS[i]) ? "ON" : "OFF";
  }
  publish("up/state_report", report);
}

bool isExpired(const char *text) {
  struct tm at = {};
  if (!clockIsSet || !text || !strptime(text, "%Y-%m-%dT%H:%M:%S", &at)) return false;
  return mktime(&at) < time(nullptr);  // the zone is UTC throughout
}

const char *perform(JsonDocument &command, JsonDocument &ack) {
  String name = command["command"] | "", state = command["state"] | "";
  int first = command["relay"] | -1, last = first;
  if (name == "set_all_relays") first = 0, last = RELAYS - 1;
  else if (name != "set_relay") return "unsupported command";
  if (first < 0 || last >= RELAYS) return "no such relay";
  if (state != "ON" && state != "OFF") return "unsupported state";  // the hub resolves TOGGLE
  for (int i = first; i <= last; i++) {
    digitalWrite(PINS[i], state == "ON" ? HIGH : LOW);
    flash.putBool(slotKey('r', i).c_str(), state == "ON");
  }
  if (first == last) ack["state"] = state;
  return nullptr;
}

void onCommand(JsonDocument &command) {
  String id = command["command_id"] | "", answer;
  if (id == "") return;
  if (findAnswer(id, answer)) {
    if (answer != "") mqtt.publish(topicOf("up/ack").c_str(), answer.c_str());
    return;
  }
  if (isExpired(command["expires_at"])) return;
  int slot = remember(id);
  JsonDocument ack;
  ack["command_id"] = id;
  const char *error = perform(command, ack);
  ack["status"] = error ? "error" : "ok";
  if (error) ack["error"] = error;
  serializeJson(ack, answer);
  flash.putString(slotKey('a', slot).c_str(), answer);
  mqtt.publish(topicOf("up/ack").c_str(), answer.c_str());
  if (!error) reportAll();
}

void onMessage(char *topic, byte *payload, unsigned int length) {
  JsonDocument json;
  if (deserializeJson(json, payload, length)) return;
  String type = String(topic).substring(topicOf("down/").length());
  if (type == "command") return onCommand(json);
  if (type == "error") Serial.printf("refused: %s %s\n", (const char *)(json["code"] | ""), (const char *)(json["message"] | ""));
  if (type == "registered") {
    heartbeatMs = (json["heartbeat_interval_s"] | 30) * 1000;
    struct tm at = {};
    if (strptime(json["time"] | "", "%Y-%m-%dT%H:%M:%S", &at)) {
      timeval now = {mktime(&at), 0};
      clockIsSet = settimeofday(&now, nullptr) == 0;
    }
    reportAll();
  }
}

void connectHub() {
  String availability = topicOf("availability");
  retryMs = min<uint32_t>(retryMs * 2, 60000);
  retryAt = millis() + retryMs + random(1000);
  if (!mqtt.connect(UID, UID, TOKEN, availability.c_str(), 1, true, "offline", false /* keep the session */)) return;
  retryMs = 1000;
  mqtt.subscribe(topicOf("down/#").c_str(), 1);
  mqtt.publish(availability.c_str(), "online", true);
  JsonDocument hello;
  hello["capabilities"]["relays"] = RELAYS;
  hello["firmware_version"] = "reference-1.0.0";
  publish("up/register", hello);
}

void setup() {
  flash.begin("hexahub");
  for (int i = 0; i < RELAYS; i++) {
    pinMode(PINS[i], OUTPUT);
    digitalWrite(PINS[i], flash.getBool(slotKey('r', i).c_str(), false) ? HIGH : LOW);
  }
  WiFi.begin(WIFI_NAME, WIFI_PASSWORD);
  tls.setCACert(CA);
  mqtt.setServer(HUB_HOST, 8883).setCallback(onMessage).setKeepAlive(60).setBufferSize(4096);
}

void loop() {
  if (WiFi.status() != WL_CONNECTED) return delay(100);
  if (!mqtt.connected() && (int32_t)(millis() - retryAt) >= 0) connectHub();
  mqtt.loop();
  if (mqtt.connected() && millis() - lastBeat >= heartbeatMs) {
    lastBeat = millis();
    mqtt.publish(topicOf("up/heartbeat").c_str(), ("{\"rssi\":" + String(WiFi.RSSI()) + "}").c_str());
  }
}
