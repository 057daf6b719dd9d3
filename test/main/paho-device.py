"""A relay with paho-mqtt: obeys one command, acknowledges it, sends one reading and leaves. The token comes on stdin."""
import json
import ssl
import sys

import paho.mqtt.client as mqtt

version, host, port, ca, uid = sys.argv[1:6]
token = sys.stdin.read()
arguments = {"client_id": uid, "protocol": getattr(mqtt, version)}
if hasattr(mqtt, "CallbackAPIVersion"):
    arguments["callback_api_version"] = mqtt.CallbackAPIVersion.VERSION1
client = mqtt.Client(**arguments)
client.username_pw_set(uid, token)
client.tls_set(ca_certs=ca, tls_version=ssl.PROTOCOL_TLS_CLIENT)


def on_connect(client, userdata, flags, code, properties=None):
    client.subscribe(f"hexa/{uid}/down/#", qos=1)


def on_subscribe(client, userdata, mid, granted, properties=None):
    print("subscribed", flush=True)


def on_message(client, userdata, message):
    if not message.topic.endswith("/command"):
        return
    command = json.loads(message.payload)
    client.publish(f"hexa/{uid}/up/telemetry", json.dumps({"values": {"humidity": 48}}), qos=1)
    ack = {"command_id": command["command_id"], "status": "ok", "state": command["state"]}
    userdata["last"] = client.publish(f"hexa/{uid}/up/ack", json.dumps(ack), qos=1).mid


def on_publish(client, userdata, mid, reason=None, properties=None):
    if mid == userdata.get("last"):
        client.disconnect()


client.user_data_set({})
client.on_connect = on_connect
client.on_subscribe = on_subscribe
client.on_message = on_message
client.on_publish = on_publish
client.connect(host, int(port))
client.loop_forever()
