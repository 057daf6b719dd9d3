import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { HOUR_MS } from "../../core/durations.ts";
import { databases } from "../support/databases.ts";
import { inScene, type Json } from "./places-scene.ts";

interface Line {
  readonly key: string;
  readonly ts: number;
  readonly value: unknown;
}

for (const { name, skip, open } of databases())
  describe(`files with inputs of virtual sensors on ${name}`, { skip }, () => {
    test("bring what they hold and nothing else: what the virtual sensor said then comes with them, or not at all", async () => {
      await inScene(open, async ({ hub, owner, ask, make }) => {
        const { uid } = (await make("devices", { name: "Sensor" })) as Json & { id: string; uid: string };
        const inputs = { t: { device: uid, key: "t" }, rh: { device: uid, key: "rh" } };
        const virtual = { device: uid, key: "sum", name: "Sum", expression: "t + rh", inputs };
        const made = await ask(owner, "POST", "virtual-sensors", virtual);
        assert.equal(made.status, 201, made.text);
        const start = Date.now() - 5 * HOUR_MS;
        const bring = async (lines: readonly Line[]): Promise<unknown> => {
          const answer = await fetch(`${hub.api.url}/api/v1/readings/import`, {
            method: "POST",
            headers: { authorization: `Bearer ${owner.token}`, "content-type": "application/x-ndjson" },
            body: lines.map((line) => `${JSON.stringify({ device: uid, ...line })}\n`).join(""),
          });
          return ((await answer.json()) as { import: Json }).import["stored"];
        };
        const stored = async (key: string): Promise<unknown[]> => {
          const answer = await ask(owner, "GET", `readings?device=${uid}&key=${key}&from=${start}&limit=100`);
          return (answer.json["data"] as { ts: string; value: unknown }[]).map(({ ts, value }) => [Date.parse(ts) - start, value]);
        };
        const of = (key: string, value: number) => [0, 60_000, 120_000].map((later) => ({ key, ts: start + later, value }));
        assert.equal(await bring([...of("t", 20), ...of("rh", 50)]), 6);
        assert.deepEqual([(await stored("t")).length, await stored("sum")], [3, []]);
        const said = [
          { key: "sum", ts: start + 30_000, value: 71 },
          { key: "sum", ts: start + 60_001, value: 72 },
        ];
        assert.equal(await bring(said), 2);
        assert.deepEqual(await stored("sum"), [
          [30_000, 71],
          [60_001, 72],
        ]);
      });
    });
  });
