import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { newId } from "../../core/id.ts";
import { databases } from "../support/databases.ts";
import { apiOfSuite, field, type TestApi } from "./test-api.ts";

interface Right {
  readonly kind: string;
  readonly id: string;
  readonly name: string;
  readonly owner: string | null;
  readonly role: string | null;
  readonly read: boolean;
  readonly write: boolean;
}

for (const engine of databases()) {
  describe(`who may read a topic on ${engine.name}`, { skip: engine.skip }, () => {
    const hubOf = apiOfSuite(engine);
    const asked = (hub: TestApi, token: string, topic: string) =>
      hub.ask("GET", `/api/v1/mqtt/topic-rights?topic=${encodeURIComponent(topic)}`, { token });

    /** As "kind: rw" by their ids. */
    async function rightsOn(hub: TestApi, token: string, topic: string): Promise<Record<string, string>> {
      const answer = await asked(hub, token, topic);
      assert.equal(answer.status, 200, answer.text);
      const { data } = answer.json as unknown as { data: Right[] };
      return Object.fromEntries(data.map(({ id, kind, read, write }) => [id, `${kind}: ${read ? "r" : ""}${write ? "w" : ""}`]));
    }

    async function addDevice(hub: TestApi, token: string): Promise<{ id: string; uid: string }> {
      const made = await hub.ask("POST", "/api/v1/devices", { token, body: { name: "Lamp", device_class: "relay_controller" } });
      return made.json["device"] as { id: string; uid: string };
    }

    async function join(hub: TestApi, owner: { token: string; organizationId: string }, role: string | null) {
      const body = { email: `${newId()}@example.org`, role };
      const invited = await hub.ask("POST", `/api/v1/organizations/${owner.organizationId}/invitations`, { token: owner.token, body });
      const made = await hub.ask("POST", "/api/v1/invitations/register", {
        body: { token: field(invited, "token"), password: "correct horse battery" },
      });
      return { token: field(made, "access_token"), userId: (made.json["user"] as { id: string }).id };
    }

    async function makeToken(hub: TestApi, token: string, body: object): Promise<string> {
      const made = await hub.ask("POST", "/api/v1/access-tokens", { token, body });
      assert.equal(made.status, 201, made.text);
      return field(made, "id");
    }

    test("is told by the same decision as the broker's: roles, grants, accounts of machines and limited tokens", async () => {
      const hub = hubOf();
      const owner = await hub.member();
      const [device, other] = [await addDevice(hub, owner.token), await addDevice(hub, owner.token)];
      const [viewer, guest] = [await join(hub, owner, "viewer"), await join(hub, owner, null)];
      await hub.ask("POST", `/api/v1/organizations/${owner.organizationId}/grants`, {
        token: owner.token,
        body: { user_id: guest.userId, device: device.uid, role: "operator" },
      });
      const service = await makeToken(hub, owner.token, { kind: "service", name: `panel-${newId()}` });
      const limited = await makeToken(hub, owner.token, { kind: "personal", name: "other-lamp", devices: [other.uid] });
      const ended = await makeToken(hub, owner.token, { kind: "service", name: `gone-${newId()}` });
      await hub.ask("DELETE", `/api/v1/access-tokens/${ended}`, { token: owner.token });
      assert.deepEqual(await rightsOn(hub, owner.token, `hexa/${device.uid}/relay/0/set`), {
        [owner.userId]: "user: rw",
        [viewer.userId]: "user: r",
        [guest.userId]: "user: rw",
        [service]: "service: rw",
      });
      assert.deepEqual(await rightsOn(hub, owner.token, `hexa/${other.uid}/availability`), {
        [other.id]: "device: w",
        [owner.userId]: "user: r",
        [viewer.userId]: "user: r",
        [service]: "service: r",
        [limited]: "personal: r",
      });
      assert.deepEqual(await rightsOn(hub, owner.token, `hexa/${device.uid}/down/command`), { [device.id]: "device: r" });
      assert.deepEqual(await rightsOn(hub, owner.token, `hexa-app/${owner.organizationId}/users/${guest.userId}/notifications`), {
        [guest.userId]: "user: r",
      });
      assert.deepEqual(await rightsOn(hub, owner.token, "homeassistant/status"), { [service]: "service: w" });
      assert.deepEqual(await rightsOn(hub, owner.token, "$SYS/broker/version"), {});
    });

    test("is told to nobody else: another organisation's topic is as one that is not there", async () => {
      const hub = hubOf();
      const [owner, stranger] = [await hub.member(), await hub.member()];
      const { uid } = await addDevice(hub, owner.token);
      const foreign = await asked(hub, stranger.token, `hexa/${uid}/availability`);
      const missing = await asked(hub, stranger.token, "hexa/nobody-here/availability");
      const said = ({ status, json }: typeof foreign) => [status, json["code"], json["message"]];
      assert.deepEqual(said(foreign), said(missing));
      assert.equal(foreign.status, 404);
      assert.equal((await asked(hub, stranger.token, `hexa-app/${owner.organizationId}/bus/hall`)).status, 404);
      const platform = await hub.member("admin");
      assert.equal((await asked(hub, platform.token, "hexa/nobody-here/availability")).status, 404);
      assert.deepEqual(await rightsOn(hub, platform.token, `hexa-app/${owner.organizationId}/bus/hall`), { [owner.userId]: "user: rw" });
      assert.equal((await asked(hub, (await join(hub, owner, "operator")).token, `hexa/${uid}/availability`)).status, 403);
      const unknown = await asked(hub, owner.token, "some/other/topic");
      assert.deepEqual([unknown.status, unknown.json["code"]], [404, "topic_unknown"]);
    });
  });
}
