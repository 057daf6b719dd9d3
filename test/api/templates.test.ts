import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import { canonicalJson } from "../../core/canonical-json.ts";
import { newId } from "../../core/id.ts";
import { PLATFORM } from "../../core/principal.ts";
import { listAudit } from "../../store/audit.ts";
import { databases } from "../support/databases.ts";
import { ids, inScene, type Json, type Scene } from "./places-scene.ts";
import { type Answered, assertEnvelope, statusesOf } from "./test-api.ts";

const RELAY = { name: "relay", type: "integer", min: 0, max: 31 };
const SET = { command: "set_relay", relay: "{{relay}}", state: "ON" };
const GOOD = { name: "Lamp", category: "light", tags: ["evening"], actions: [SET], variables: [RELAY] };
const etag = (answer: Answered): Record<string, string> => ({ "if-match": answer.headers.get("etag") as string });
const template = (answer: Answered): Json & { id: string } => answer.json["template"] as Json & { id: string };
const paths = (answer: Answered): unknown[] => (answer.json["details"] as Json[]).map(({ path }) => path);

async function make({ ask, owner }: Pick<Scene, "ask" | "owner">, body: object = GOOD, who = owner): Promise<Answered> {
  const answer = await ask(who, "POST", "templates", body);
  assert.equal(answer.status, 201, answer.text);
  return answer;
}

for (const { name, skip, open } of databases()) {
  describe(`templates on ${name}`, { skip }, () => {
    test("come back as they were made, are changed with If-Match, and go back to a former version", async () => {
      await inScene(open, async (scene) => {
        const { ask, owner, hub } = scene;
        const made = await make(scene, { ...GOOD, note: "the first" });
        const one = template(made);
        const { id } = one;
        assert.deepEqual(
          { ...one, created_at: "", updated_at: "" },
          {
            id,
            is_mine: true,
            organization_id: owner.organizationId,
            ...GOOD,
            description: null,
            is_public: false,
            version: 1,
            usage_count: 0,
            recent_uses: 0,
            created_by: owner.userId,
            created_at: "",
            updated_at: "",
          },
        );
        const path = `templates/${id}`;
        assert.deepEqual((await ask(owner, "GET", `templates/${id.toUpperCase()}`)).json, made.json);
        const { actions: _actions, variables: _variables, ...summary } = one;
        assert.deepEqual((await ask(owner, "GET", "templates?category=light&tag=evening&visibility=mine&search=LAMP&sort=name")).json, {
          data: [summary],
          next_cursor: null,
        });
        for (const [method, body] of [["PATCH", { name: "x" }], ["PUT", GOOD], ["DELETE"]] as const)
          assertEnvelope(await ask(owner, method, path, body), 428, "precondition_required");

        const patched = await ask(owner, "PATCH", path, { category: null, description: "of the hall", note: "better" }, etag(made));
        assert.deepEqual(
          [patched.status, template(patched)["category"], template(patched)["description"], template(patched)["version"]],
          [200, null, "of the hall", 2],
        );
        assertEnvelope(await ask(owner, "PATCH", path, { name: "y" }, etag(made)), 412, "precondition_failed");
        const shown = await ask(owner, "PATCH", path, { is_public: true }, etag(patched));
        assert.deepEqual([template(shown)["is_public"], template(shown)["version"]], [true, 2]);
        const replaced = await ask(owner, "PUT", path, { name: "Anew", actions: [{ command: "identify" }] }, etag(shown));
        assert.deepEqual(
          [template(replaced)["is_public"], template(replaced)["tags"], template(replaced)["variables"], template(replaced)["version"]],
          [false, [], [], 3],
        );
        const diff = (await ask(owner, "GET", `${path}/versions/1/diff?to=2`)).json;
        assert.deepEqual(diff, {
          from: 1,
          to: 2,
          changes: [
            { path: "/description", before: null, after: "of the hall" },
            { path: "/category", before: "light" },
          ],
        });
        const restored = await ask(owner, "POST", `${path}/versions/1/restore`, undefined, etag(replaced));
        assert.deepEqual({ ...template(restored), updated_at: "" }, { ...one, version: 4, updated_at: "" });
        const versions = await ask(owner, "GET", `${path}/versions?limit=3`);
        assert.deepEqual(
          (versions.json["data"] as Json[]).map(({ version, note }) => [version, note]),
          [
            [4, "version 1 again"],
            [3, null],
            [2, "better"],
          ],
        );
        const first = (await ask(owner, "GET", `${path}/versions/1`)).json["version"] as Json;
        const { name: _name, ...definition } = GOOD;
        assert.deepEqual([first["note"], first["definition"]], ["the first", definition]);
        assertEnvelope(await ask(owner, "GET", `${path}/versions/5`), 404, "not_found");
        assertEnvelope(await ask(owner, "GET", `${path}/versions/first/diff`), 404, "not_found");

        assert.equal((await ask(owner, "DELETE", path, undefined, etag(restored))).status, 204);
        assertEnvelope(await ask(owner, "GET", path), 404, "not_found");
        const { items } = await listAudit(hub.context.store.db, PLATFORM, { limit: 100 });
        assert.deepEqual(
          items.filter(({ resourceId }) => resourceId === id).map(({ action }) => action),
          ["delete", "restore", "update", "update", "update", "create"].map((what) => `template.${what}`),
        );
      });
    });

    test("are refused where they cannot become commands, with every place", async () => {
      await inScene(open, async (scene) => {
        const { ask, owner } = scene;
        const table: [object, unknown[]][] = [
          [{ ...GOOD, actions: [] }, ["/actions"]],
          [{ ...GOOD, actions: ["{{relay}}"] }, ["/actions/0"]],
          [{ ...GOOD, actions: [{ ...SET, state: "{{state}}" }], category: "light" }, ["/actions/0/state"]],
          [
            {
              ...GOOD,
              variables: [
                { ...RELAY, max: 32 },
                { name: "more", type: "string" },
              ],
            },
            ["/variables/1"],
          ],
          [{ ...GOOD, variables: [{ ...RELAY, max: 32, min: -1 }] }, ["/actions/0/relay", "/actions/0/relay"]],
          [{ ...GOOD, variables: [{ ...RELAY, type: "text" }] }, ["/variables/0/type"]],
          [{ ...GOOD, category: "Big Lights" }, ["/category"]],
        ];
        for (const [body, expected] of table) {
          const answer = await ask(owner, "POST", "templates", body);
          assertEnvelope(answer, 400, "validation_error");
          assert.deepEqual(paths(answer), expected, answer.text);
        }
        const made = await make(scene);
        const path = `templates/${template(made).id}`;
        for (const patch of [{ variables: [] }, { actions: null }, { variables: [{ ...RELAY, default: 32 }] }, {}])
          assertEnvelope(await ask(owner, "PATCH", path, patch, etag(made)), 400, "validation_error");
        assert.deepEqual((await ask(owner, "GET", path)).json, made.json);
        assert.deepEqual(ids(await ask(owner, "GET", "templates")), [template(made).id]);
      });
    });

    test("are shown filled in without anything being done", async () => {
      await inScene(open, async (scene) => {
        const { ask, owner, hub, join } = scene;
        const viewer = await join("viewer");
        const device = await scene.make("devices", { name: "ON" });
        const foreign = await scene.make("devices", { name: "OFF" }, await hub.member());
        const { id } = template(
          await make(scene, {
            name: "Named",
            actions: [{ ...SET, state: "{{device.name}}" }, { command: "{{text}}" }],
            variables: [RELAY, { name: "text", type: "string" }],
          }),
        );
        const preview = (body: object) => ask(viewer, "POST", `templates/${id}/preview`, body);
        const filled = await preview({ variables: { relay: 4, text: "restart" }, device: device["uid"] });
        assert.deepEqual(
          [filled.status, filled.json],
          [200, { version: 1, actions: [{ command: "set_relay", relay: 4, state: "ON" }, { command: "restart" }] }],
        );
        const wrong = await preview({ variables: { relay: "4", lamp: 1 }, device: device.id });
        assertEnvelope(wrong, 400, "validation_error");
        assert.deepEqual(paths(wrong), ["/variables/lamp", "/variables/relay", "/variables/text"]);
        const impossible = await preview({ variables: { relay: 4, text: "explode" } });
        assert.deepEqual(paths(impossible), ["/actions/0/state", "/actions/1"]);
        assertEnvelope(await preview({ variables: { relay: 4, text: "restart" }, device: foreign.id }), 404, "not_found");
        assertEnvelope(await preview({ version: 2 }), 404, "not_found");
        assert.deepEqual(hub.sent, []);
        assert.equal(template(await ask(owner, "GET", `templates/${id}`))["usage_count"], 0);
      });
    });

    test("of another organisation are there while they are public, without who made them, and are copied", async () => {
      await inScene(open, async (scene) => {
        const { ask, owner, hub } = scene;
        const other = await hub.member();
        const made = await make(scene, { ...GOOD, is_public: true });
        const hidden = template(await make(scene));
        const { id } = template(made);
        const seen = template(await ask(other, "GET", `templates/${id}`));
        assert.deepEqual(seen, { ...template(made), is_mine: false, organization_id: null, created_by: null });
        assert.deepEqual(ids(await ask(other, "GET", "templates?sort=popularity")), [id]);
        assert.deepEqual(ids(await ask(other, "GET", "templates?visibility=mine")), []);
        assert.deepEqual((await ask(other, "GET", "templates/categories")).json, { data: [{ category: "light", count: 1 }] });
        assert.deepEqual((await ask(owner, "GET", "templates/categories")).json, { data: [{ category: "light", count: 2 }] });
        assert.equal((await ask(other, "POST", `templates/${id}/preview`, { variables: { relay: 1 } })).status, 200);
        assert.equal((await ask(other, "GET", `templates/${id}/export`)).text.includes(owner.organizationId), false);
        for (const [method, sub, body] of [
          ["PATCH", "", { name: "Mine" }],
          ["PUT", "", GOOD],
          ["DELETE", ""],
          ["GET", "/versions"],
          ["GET", "/versions/1"],
          ["GET", "/versions/1/diff"],
          ["POST", "/versions/1/restore"],
        ] as const) {
          const headers = sub === "" || method === "POST" ? etag(made) : {};
          assertEnvelope(await ask(other, method, `templates/${id}${sub}`, body, headers), 403, "forbidden");
          assertEnvelope(await ask(other, method, `templates/${hidden.id}${sub}`, body, headers), 404, "not_found");
        }
        for (const what of ["preview", "copy"])
          assertEnvelope(await ask(other, "POST", `templates/${hidden.id}/${what}`, what === "copy" ? undefined : {}), 404, "not_found");
        assertEnvelope(await ask(other, "GET", `templates/${hidden.id}/export`), 404, "not_found");

        const copied = await ask(other, "POST", `templates/${id}/copy`);
        assert.equal(copied.status, 201, copied.text);
        const { name: copyName, is_mine: isMine, is_public: isPublic, actions, version } = template(copied);
        assert.deepEqual([copyName, isMine, isPublic, actions, version], ["Lamp", true, false, GOOD.actions, 1]);
        assert.equal(template(await ask(other, "POST", `templates/${id}/copy`))["name"], "Lamp (2)");
        const closed = await ask(owner, "PATCH", `templates/${id}`, { is_public: false }, etag(made));
        assert.equal(closed.status, 200, closed.text);
        assertEnvelope(await ask(other, "GET", `templates/${id}`), 404, "not_found");
        assert.equal((await ask(other, "GET", `templates/${template(copied).id}`)).status, 200);
      });
    });

    test("go to another hub as a file, and only as they were", async () => {
      await inScene(open, async (scene) => {
        const { ask, owner } = scene;
        const made = await make(scene, { ...GOOD, name: 'Größe: "1" / 2', description: "of the hall" });
        const exported = await ask(owner, "GET", `templates/${template(made).id}/export`);
        assert.equal(exported.headers.get("content-disposition"), 'attachment; filename="gro-e-1-2.hexahub-template.json"');
        const file = exported.json;
        const content = { ...GOOD, name: 'Größe: "1" / 2', description: "of the hall" };
        assert.deepEqual(file, {
          format: "hexahub.template/1",
          sha256: createHash("sha256").update(canonicalJson(content)).digest("hex"),
          template: content,
        });
        const taken = await ask(owner, "POST", "templates/import", file);
        assert.equal(taken.status, 201, taken.text);
        assert.deepEqual(
          [template(taken)["name"], template(taken)["actions"], template(taken)["is_public"]],
          [`${content.name} (2)`, GOOD.actions, false],
        );
        const signed = (one: unknown) => ({
          ...file,
          template: one,
          sha256: createHash("sha256").update(canonicalJson(one)).digest("hex"),
        });
        const table: [object, unknown[]][] = [
          [{ ...file, template: { ...content, name: "Other" } }, ["/sha256"]],
          [{ ...file, format: "hexahub.template/2" }, ["/format"]],
          [signed({ ...content, is_public: true }), ["/template"]],
          [signed({ ...content, variables: [] }), ["/template/actions/0/relay"]],
          [{ ...file, more: 1 }, ["/"]],
        ];
        for (const [body, expected] of table) {
          const answer = await ask(owner, "POST", "templates/import", body);
          assertEnvelope(answer, 400, "validation_error");
          assert.deepEqual(paths(answer), expected, answer.text);
        }
        const large = await ask(owner, "POST", "templates/import", signed({ ...content, more: "x".repeat(270_000) }));
        assertEnvelope(large, 413, "payload_too_large");
        assert.equal(ids(await ask(owner, "GET", "templates")).length, 2);
        assertEnvelope(await ask(owner, "GET", `templates/${newId()}/export`), 404, "not_found");
      });
    });

    test("of two changes at once one is made", async () => {
      await inScene(open, async (scene) => {
        const { ask, owner } = scene;
        const made = await make(scene);
        const path = `templates/${template(made).id}`;
        const answers = await Promise.all(["a", "b", "c"].map((text) => ask(owner, "PATCH", path, { name: text }, etag(made))));
        assert.deepEqual(statusesOf(answers), [200, 412, 412]);
        assert.equal((await ask(owner, "GET", `${path}/versions`)).json["next_cursor"], null);
        assert.equal(template(await ask(owner, "GET", path))["version"], 2);
      });
    });
  });
}
