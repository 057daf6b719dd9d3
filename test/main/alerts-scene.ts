import assert from "node:assert/strict";
import mqtt from "mqtt";
import type { TestHub } from "../support/hub.ts";
import { until } from "../support/wait.ts";

type Json = Record<string, unknown>;
export interface ShownAlert extends Json {
  readonly id: string;
  readonly rule_id: string | null;
  readonly uid: string | null;
  readonly status: string;
  readonly title: string;
  readonly parent_id: string | null;
  readonly resolution: string | null;
  readonly told_at: string | null;
}
export interface Sensor {
  readonly uid: string;
  readonly id: string;
  readonly token: string;
}

/** A device that does not fall silent before this ends. */
export interface Talk extends AsyncDisposable {
  /** So many reports were accepted. */
  says(count: number): Promise<void>;
}

/** A hub as those who watch it by alerts see it. */
export class AlertsScene {
  readonly hub: Pick<TestHub, "api" | "http" | "mqtt">;

  constructor(hub: Pick<TestHub, "api" | "http" | "mqtt">) {
    this.hub = hub;
  }

  async rule(body: object): Promise<{ id: string; etag: string }> {
    const answer = await this.hub.api.call<{ rule: { id: string } }>("POST", "/api/v1/alert-rules", {
      name: "Rule",
      severity: "warning",
      ...body,
    });
    assert.equal(answer.status, 201, JSON.stringify(answer.body));
    return { id: answer.body.rule.id, etag: answer.headers.get("etag") ?? "" };
  }

  addSensor(name = "Sensor"): Promise<Sensor> {
    return this.hub.api.addDevice({ name, device_class: "sensor_hub" });
  }

  /** Resolves when the readings, and what follows from them, are committed. */
  async report({ uid, token }: Sensor, ...samples: object[]): Promise<void> {
    const headers = { "content-type": "application/json", "x-device-uid": uid, "x-device-token": token };
    const body = JSON.stringify(
      samples.length === 1 ? { values: samples[0] } : samples.map((values, index) => ({ ts: Date.now() + index, values })),
    );
    const response = await fetch(new URL("/api/v1/devices/sensor-report", this.hub.http), { method: "POST", headers, body });
    assert.equal(response.status, 202, await response.text());
  }

  /** It says something ten times a second from now on. */
  talk(sensor: Sensor, values: (count: number) => object): Talk {
    let said = 0;
    let saying = Promise.resolve();
    const pace = setInterval(() => {
      saying = saying.then(async () => {
        await this.report(sensor, values(said));
        said++;
      });
      // Whoever waits for it hears of it.
      saying.catch(() => undefined);
    }, 100).unref();
    return {
      says: async (count) => void (await until(() => said >= count, { what: `${count} reports`, timeoutMs: 60_000 })),
      async [Symbol.asyncDispose]() {
        clearInterval(pace);
        await saying;
      },
    };
  }

  async alerts(query = ""): Promise<ShownAlert[]> {
    const { status, body } = await this.hub.api.call<{ data: ShownAlert[] }>("GET", `/api/v1/alerts?limit=200${query}`);
    assert.equal(status, 200, JSON.stringify(body));
    return body.data;
  }

  /** The one alert that there is, once it is as it should be. */
  async alert(status: string, query = ""): Promise<ShownAlert> {
    return await until(async () => (await this.alerts(query)).find((one) => one.status === status), { what: `an alert that is ${status}` });
  }

  async history(id: string): Promise<string[]> {
    const { body } = await this.hub.api.call<{ history: { what: string }[] }>("GET", `/api/v1/alerts/${id}`);
    return body.history.map(({ what }) => what);
  }

  act(id: string, verb: string, body?: object): Promise<{ status: number; body: Json }> {
    return this.hub.api.call("POST", `/api/v1/alerts/${id}/${verb}`, body);
  }

  /** What the caller was told, the oldest first. */
  async told(): Promise<string[]> {
    const { body } = await this.hub.api.call<{ data: { title: string; count: number }[] }>("GET", "/api/v1/notifications?limit=200");
    return body.data.map(({ title, count }) => (count === 1 ? title : `${title} ×${count}`)).toReversed();
  }

  async events(type: string): Promise<{ data: Json }[]> {
    return (await this.hub.api.call<{ data: { data: Json }[] }>("GET", `/api/v1/events?type=${type}`)).body.data;
  }

  /** A device that is there until the client ends. */
  async connect({ uid, token }: Sensor): Promise<mqtt.MqttClient> {
    return await mqtt.connectAsync(this.hub.mqtt, { clientId: uid, username: uid, password: token, reconnectPeriod: 0 });
  }
}
