import assert from "node:assert/strict";
import type { IncomingHttpHeaders } from "node:http";
import { after, before, describe, test } from "node:test";
import { preconditionOf } from "../../api/preconditions.ts";
import { databases } from "../support/databases.ts";
import { apiOfSuite, type Asked, assertEnvelope, field, OPERATOR, startTestApi, type TestApi } from "./test-api.ts";

for (const engine of databases())
  describe(`versions on ${engine.name}`, { skip: engine.skip }, () => {
    const hub = apiOfSuite(engine);

    const ask = (method: string, path: string, asked: Asked = {}) => hub().ask(method, path, { token: OPERATOR, ...asked });
    const add = async (): Promise<string> => {
      const made = await ask("POST", "/api/v1/devices", { body: { name: "Hall", device_class: "relay_controller" } });
      return `/api/v1/devices/${field(made, "device_uid")}`;
    };
    const tagOf = async (path: string): Promise<string> => (await ask("GET", path)).headers.get("etag") ?? "none";

    test("whoever has it already gets 304 and no body, and the whole when it changed", async () => {
      const path = await add();
      const first = await ask("GET", path);
      const tag = first.headers.get("etag") ?? "none";
      for (const header of [tag, `W/${tag}`, `"another", ${tag}`, "*"]) {
        const again = await ask("GET", path, { headers: { "if-none-match": header } });
        assert.deepEqual([again.status, again.text, again.headers.get("etag")], [304, "", tag], header);
      }
      const other = await ask("GET", path, { headers: { "if-none-match": '"another"' } });
      assert.deepEqual([other.status, other.text], [200, first.text]);
      await ask("PATCH", path, { body: { name: "Cellar" } });
      const changed = await ask("GET", path, { headers: { "if-none-match": tag } });
      assert.equal(changed.status, 200);
      assert.notEqual(changed.headers.get("etag"), tag);
    });

    test("a reading that comes in changes what is read, and not what a change is made from", async () => {
      const path = await add();
      const tag = await tagOf(path);
      const { device } = (await ask("GET", path)).json as { device: { id: string } };
      await hub().context.store.db("devices").where({ id: device.id }).update({ last_ip: "192.0.2.7" });
      assert.notEqual(await tagOf(path), tag);
      const renamed = await ask("PATCH", path, { body: { name: "Cellar" }, headers: { "if-match": tag } });
      assert.equal(renamed.status, 200, renamed.text);
    });

    test("a change made from an old version is refused and changes nothing", async () => {
      const path = await add();
      const old = await tagOf(path);
      const renamed = await ask("PATCH", path, { body: { name: "Cellar" }, headers: { "if-match": old } });
      const now = renamed.headers.get("etag") ?? "none";
      assert.equal(renamed.status, 200, renamed.text);
      assertEnvelope(await ask("PATCH", path, { body: { name: "Attic" }, headers: { "if-match": old } }), 412, "precondition_failed");
      assertEnvelope(await ask("DELETE", path, { headers: { "if-match": old } }), 412, "precondition_failed");
      // Strong comparison: what is only said to be like it does not count (RFC 9110 13.1.1).
      assertEnvelope(
        await ask("PATCH", path, { body: { name: "Attic" }, headers: { "if-match": `W/${now}` } }),
        412,
        "precondition_failed",
      );
      assert.equal(((await ask("GET", path)).json["device"] as { name: string }).name, "Cellar");
      const further = await ask("PATCH", path, { body: { name: "Attic" }, headers: { "if-match": `"another", ${now}` } });
      assert.equal(further.status, 200, further.text);
      assert.equal((await ask("DELETE", path, { headers: { "if-match": "*" } })).status, 204);
      assertEnvelope(await ask("DELETE", path, { headers: { "if-match": "*" } }), 404, "not_found");
    });

    test("of 20 changes at once that are made from the same version one is made", async () => {
      const path = await add();
      const tag = await tagOf(path);
      const answers = await Promise.all(
        Array.from({ length: 20 }, (_, index) => ask("PATCH", path, { body: { name: `Room ${index}` }, headers: { "if-match": tag } })),
      );
      const made = answers.filter(({ status }) => status === 200);
      assert.equal(made.length, 1, answers.map(({ status }) => status).join(" "));
      for (const one of answers) if (one.status !== 200) assertEnvelope(one, 412, "precondition_failed");
      assert.deepEqual((await ask("GET", path)).json["device"], made[0]?.json["device"]);
    });

    test("changes of different settings at once all hold", async () => {
      const path = await add();
      const patches = [{ power_restore: "last" }, { reading_interval_s: 30 }, { relay_names: ["Lamp"] }, { inputs: [{ index: 0 }] }];
      const answers = await Promise.all(patches.map((settings) => ask("PATCH", path, { body: { settings } })));
      assert.deepEqual(
        answers.map(({ status }) => status),
        [200, 200, 200, 200],
      );
      const { device } = (await ask("GET", path)).json as { device: { settings: object } };
      assert.deepEqual(device.settings, Object.assign({}, ...patches));
      const less = await ask("PATCH", path, {
        body: { settings: { relay_names: null, power_restore: "on" } },
        headers: { "content-type": "application/merge-patch+json" },
      });
      assert.equal(less.status, 200, less.text);
      assert.deepEqual((less.json["device"] as typeof device).settings, {
        power_restore: "on",
        reading_interval_s: 30,
        inputs: [{ index: 0 }],
      });
    });

    test("a repetition gets the first answer with its version, whatever the version is now", async () => {
      const path = await add();
      const headers = { "if-match": await tagOf(path), "idempotency-key": "rename" };
      const [first, second] = [
        await ask("PATCH", path, { body: { name: "Cellar" }, headers }),
        await ask("PATCH", path, { body: { name: "Cellar" }, headers }),
      ];
      assert.deepEqual([first.status, second.status, second.headers.get("idempotency-replayed")], [200, 200, "true"]);
      assert.equal(second.headers.get("etag"), first.headers.get("etag"));
      const other = { ...headers, "if-match": "*" };
      assertEnvelope(await ask("PATCH", path, { body: { name: "Cellar" }, headers: other }), 409, "idempotency_conflict");
    });

    test("a page leads to the next, until all was seen", async () => {
      const { token } = await hub().member();
      const names = Array.from({ length: 7 }, (_, index) => `Lamp & co ${index}`);
      for (const name of names) await hub().ask("POST", "/api/v1/devices", { token, body: { name, device_class: "relay_controller" } });
      const seen: string[] = [];
      let path: string | undefined = "/api/v1/devices?limit=3&search=lamp%20%26";
      while (path !== undefined) {
        const page = await hub().ask("GET", path, { token });
        assert.equal(page.status, 200, page.text);
        seen.push(...(page.json["data"] as { name: string }[]).map(({ name }) => name));
        const link = page.headers.get("link");
        assert.equal(link === null, page.json["next_cursor"] === null);
        path = link === null ? undefined : /^<([^>]+)>; rel="next"$/.exec(link)?.[1];
      }
      assert.deepEqual(seen, names);
    });
  });

describe("headers", () => {
  let hub: TestApi;
  before(async () => {
    hub = await startTestApi();
  });
  after(() => hub[Symbol.asyncDispose]());

  test("that are no entity tags are refused, and conditions on what has no version", async () => {
    const path = "/api/v1/devices/relay-nothere01";
    for (const bad of ["none", '"open', '"a" "b"', "", ",", Array.from({ length: 33 }, () => '"a"').join(",")]) {
      const answer = await hub.ask("PATCH", path, { token: OPERATOR, body: { name: "x" }, headers: { "if-match": bad } });
      assertEnvelope(answer, 400, "validation_error");
    }
    const made = await hub.ask("POST", "/api/v1/organizations", { token: OPERATOR, body: { name: "x" }, headers: { "if-match": "*" } });
    assertEnvelope(made, 412, "precondition_failed");
  });

  test("a definition is changed by whoever says which version, and made by whoever wants none to be there", () => {
    const refused = (headers: IncomingHttpHeaders, version: string | undefined) => {
      try {
        preconditionOf(headers, true).check(version);
        return "open";
      } catch (error) {
        return (error as { code: string }).code;
      }
    };
    assert.equal(refused({}, "v1"), "precondition_required");
    assert.equal(refused({}, undefined), "open");
    assert.equal(refused({ "if-match": '"v1"' }, "v1"), "open");
    assert.equal(refused({ "if-match": '"v1.of-the-whole"' }, "v1"), "open");
    assert.equal(refused({ "if-match": '"v"' }, "v1"), "precondition_failed");
    assert.equal(refused({ "if-match": '"v1"' }, undefined), "precondition_failed");
    assert.equal(refused({ "if-match": "*" }, "v1"), "open");
    assert.equal(refused({ "if-none-match": "*" }, "v1"), "precondition_failed");
    assert.equal(refused({ "if-none-match": "*" }, undefined), "open");
  });

  test("a body is JSON or, for a PATCH, a merge patch", async () => {
    const send = (method: string, type: string) =>
      hub.ask(method, "/api/v1/organizations", { token: OPERATOR, body: { name: "x" }, headers: { "content-type": type } });
    assertEnvelope(await send("POST", "application/merge-patch+json"), 415, "unsupported_media_type");
    assertEnvelope(await send("POST", "application/json-patch+json"), 415, "unsupported_media_type");
    assert.equal((await send("POST", "application/json; charset=UTF-8")).status, 201);
  });

  test("a trace goes on through the hub, and one that is not well-formed begins anew", async () => {
    const trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    const ask = (traceparent: string) => hub.ask("GET", "/health", { headers: { traceparent } });
    const partsOf = (header: string | null) => /^00-([0-9a-f]{32})-([0-9a-f]{16})-(0[01])$/.exec(header ?? "") ?? [];
    const [, goesOn, span, flags] = partsOf((await ask(`00-${trace}-00f067aa0ba902b7-01`)).headers.get("traceparent"));
    assert.deepEqual([goesOn, flags], [trace, "01"]);
    assert.notEqual(span, "00f067aa0ba902b7");
    assert.ok(hub.logged.some(({ data }) => data["trace_id"] === trace));
    assert.equal(partsOf((await ask(`cc-${trace}-00f067aa0ba902b7-01-more`)).headers.get("traceparent"))[1], trace);
    for (const bad of [
      "",
      "00",
      `00-${trace}-00f067aa0ba902b7-01-more`,
      `ff-${trace}-00f067aa0ba902b7-01`,
      `00-${"0".repeat(32)}-00f067aa0ba902b7-01`,
      `00-${trace}-${"0".repeat(16)}-01`,
      `00-${trace.toUpperCase()}-00f067aa0ba902b7-01`,
      `00-${trace}x-00f067aa0ba902b7-01`,
    ]) {
      const [, anew] = partsOf((await ask(bad)).headers.get("traceparent"));
      assert.ok(anew !== undefined && anew !== trace, bad);
    }
  });

  test("what a traced request has done is found in the audit by its trace", async () => {
    const trace = "0af7651916cd43dd8448eb211c80319c";
    await hub.ask("POST", "/api/v1/organizations", {
      token: OPERATOR,
      body: { name: "Traced" },
      headers: { traceparent: `00-${trace}-b7ad6b7169203331-00` },
    });
    const { data } = (await hub.ask("GET", "/api/v1/audit?action=organization.create&limit=1", { token: OPERATOR })).json as {
      data: { correlation_id: string }[];
    };
    assert.equal(data[0]?.correlation_id, trace);
  });
});
