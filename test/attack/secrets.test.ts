import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import mqtt from "mqtt";
import type { Log } from "../../core/bus.ts";
import { databases } from "../support/databases.ts";
import { ADMIN, PROVISION_KEY, startHub } from "../support/hub.ts";

for (const { name, skip, open } of databases()) {
  test(`${name}: no token, password, JWT, claim code or contact stands in the log, in an error, in metrics, audit or events`, {
    skip,
  }, async () => {
    const lines: string[] = [];
    const note = (data: object, message: string): void =>
      void lines.push(`${message} ${inspect(data, { depth: 8, maxStringLength: null })}`);
    const log: Log = { debug: note, info: note, warn: note, error: note };
    await using database = await open();
    await using hub = await startHub({ databaseUrl: database.url, log });
    const secrets = new Map<string, string>([
      ["the password", ADMIN.password],
      ["the provisioning key", PROVISION_KEY],
      ["a wrong password", "wrong-horse-battery"],
      ["a wrong token", "hxd_wrong-token-of-a-device"],
      ["a payload", "payload-that-nobody-logs"],
    ]);
    const texts: string[] = [];
    const fail = async (method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<void> => {
      const answer = await hub.api.call(method, path, body, headers);
      assert.ok(answer.status >= 400, `${method} ${path}`);
      texts.push(JSON.stringify(answer.body));
    };
    await hub.api.login();
    secrets.set("the login's JWT", hub.api.token as string);
    const { body: enrolled } = await hub.api.call<Record<string, string>>(
      "POST",
      "/api/v1/devices",
      { name: "x", device_class: "relay_controller" },
      { "idempotency-key": "k1" },
    );
    secrets.set("a device token", enrolled["device_token"] as string).set("a device JWT", enrolled["device_jwt"] as string);
    secrets.set("a task key", enrolled["task_key"] as string);
    const registered = await hub.api.call<Record<string, string>>(
      "POST",
      "/api/v1/provision/register",
      { name: "y", device_class: "ir_hub", serial_number: "S1" },
      { "x-provision-key": PROVISION_KEY },
    );
    secrets.set("a claim code", registered.body["claim_code"] as string).set("its token", registered.body["device_token"] as string);
    assert.equal((await hub.api.call("POST", "/api/v1/devices/claim", { claim_code: registered.body["claim_code"] })).status, 200);
    const released = await hub.api.call<Record<string, string>>("POST", `/api/v1/devices/${registered.body["device_uid"]}/release`);
    secrets.set("the next claim code", released.body["claim_code"] as string);
    for (const kind of ["personal", "service"]) {
      const made = await hub.api.call<{ token: string }>("POST", "/api/v1/access-tokens", { kind, name: `a-${kind}` });
      secrets.set(`a ${kind} token`, made.body.token);
    }
    const uid = enrolled["device_uid"] as string;
    const rotated = await hub.api.call<Record<string, string>>("POST", `/api/v1/devices/${uid}/rotate-token`);
    const password = rotated.body["device_token"] as string;
    const next = await hub.api.call<Record<string, string>>("POST", `/api/v1/devices/${uid}/task-key`, {}, { "idempotency-key": "k3" });
    secrets.set("the next task key", next.body["task_key"] as string);
    secrets.set("a rotated token", password).set("a rotated JWT", rotated.body["device_jwt"] as string);

    const contact = { name: "Caretaker", phone: "+4930555123456", email: "nobody@private.example" };
    secrets.set("a phone number", contact.phone.slice(1)).set("an e-mail address", contact.email);
    const { body: made } = await hub.api.call<{ contact: { id: string } }>("POST", "/api/v1/contacts", contact, {
      "idempotency-key": "k2",
    });
    const ofContact = `/api/v1/contacts/${made.contact.id}`;
    assert.equal((await hub.api.call("GET", ofContact)).status, 200);
    assert.equal((await hub.api.call("PATCH", ofContact, { email: "other@private.example" })).status, 200);
    await fail("PATCH", ofContact, { phone: "wrong-horse-battery" });
    await fail("PUT", "/api/v1/settings/mail.password", { value: "wrong-horse-battery" });
    await fail("POST", "/api/v1/auth/login", { email: ADMIN.email, password: "wrong-horse-battery" });
    await fail("POST", "/api/v1/auth/login", { email: "no mail", password: ADMIN.password });
    await fail("POST", "/api/v1/setup", { token: password, email: "a@b.test", password: ADMIN.password });
    await fail("POST", "/api/v1/devices/claim", { claim_code: registered.body["claim_code"] });
    await fail("POST", "/api/v1/devices", { name: "z", device_class: password });
    await fail("POST", "/api/v1/provision/register", { name: "y", device_class: "ir_hub" }, { "x-provision-key": "wrong-horse-battery" });
    await fail(
      "POST",
      "/api/v1/provision/register",
      { name: "y", device_class: "ir_hub", serial_number: "S1" },
      { "x-provision-key": PROVISION_KEY },
    );
    await fail("GET", `/api/v1/devices/${enrolled["device_token"]}`);
    await fail("GET", "/api/v1/devices?limit=payload-that-nobody-logs");
    for (const [username, wrong] of [
      [uid, "hxd_wrong-token-of-a-device"],
      [ADMIN.email, "wrong-horse-battery"],
    ] as const)
      await assert.rejects(mqtt.connectAsync(hub.mqtt, { clientId: uid, username, password: wrong, reconnectPeriod: 0 }));
    const device = await mqtt.connectAsync(hub.mqtt, { clientId: uid, username: uid, password, reconnectPeriod: 0 });
    await device.publishAsync(`hexa/${uid}/up/telemetry`, '{"values":{"text":"payload-that-nobody-logs"}}', { qos: 1 });
    await device.publishAsync(`hexa/${uid}/up/telemetry`, "payload-that-nobody-logs", { qos: 1 });
    await device.publishAsync(`hexa/${uid}/relay/0/set`, "payload-that-nobody-logs", { qos: 1 });
    await device.publishAsync(`hexa/${uid}/up/log`, '{"level":"error","message":"payload-that-nobody-logs"}', { qos: 1 });
    await device.endAsync();

    for (const path of ["/metrics", "/health", "/", "/setup"]) texts.push(await (await fetch(`${hub.http}${path}`)).text());
    for (const path of [
      "/api/v1/audit?limit=200",
      "/api/v1/events?limit=200",
      "/api/v1/access-tokens",
      `/api/v1/devices/${uid}/credentials`,
      "/api/v1/users",
    ]) {
      const answer = await hub.api.call("GET", path);
      assert.equal(answer.status, 200, path);
      texts.push(JSON.stringify(answer.body));
    }
    assert.ok(lines.length > 20);
    for (const text of [...lines, ...texts]) {
      for (const [what, secret] of secrets) {
        const hex = Buffer.from(secret).toString("hex");
        assert.ok(!text.includes(secret) && !text.includes(hex), `${what} stands in: ${text.slice(0, 400)}`);
      }
    }
  });
}
