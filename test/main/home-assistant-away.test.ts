import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { databases } from "../support/databases.ts";
import { startHub } from "../support/hub.ts";
import { until } from "../support/wait.ts";
import { entitiesOf, entityOf, join, makeAccount, must } from "./home-assistant-scene.ts";

const CODE = { format: "timings", name: "tv power", timings: [900, -450] };

for (const { name, skip, open } of databases())
  describe(`${name}: a Home Assistant that was away`, { skip }, () => {
    for (const how of ["stopped", "cut off"])
      for (const form of ["device", "component"])
        test(`and ${how} lets go of what went meanwhile, and of nothing else (${form})`, async () => {
          await using database = await open();
          await using hub = await startHub({ databaseUrl: database.url });
          const api = await hub.api.login();
          await using home = await join(hub.mqtt, await makeAccount(api, { form }));
          const gone = await api.addDevice({ name: "Gone", capabilities: { relays: 2, lights: 1, inputs: 1 } });
          const hidden = await api.addDevice({ name: "Hidden", capabilities: { relays: 1 } });
          const kept = await api.addDevice({ name: "Kept", capabilities: { relays: 1, ir: true } });
          const codes = `/api/v1/devices/${kept.uid}/ir-codes`;
          const { body } = await api.call<{ ir_code: { id: string } }>("POST", codes, CODE);
          for (const { uid } of [gone, hidden]) await entityOf(home, uid, "switch");
          const button = `hexa_${kept.uid}_ir_${body.ir_code.id}`;
          await until(() => entitiesOf(home, kept.uid).some(({ uniqueId }) => uniqueId === button), { what: "the button" });
          const known = (): string[] => entitiesOf(home, kept.uid).map(({ uniqueId, entityId }) => `${uniqueId} ${entityId}`);
          const before = known();
          if (how === "stopped") await home.stop();
          await must(api, "DELETE", `/api/v1/devices/${gone.uid}`);
          await must(api, "PATCH", `/api/v1/devices/${hidden.uid}/exposure`, { home_assistant: false });
          await must(api, "DELETE", `${codes}/${body.ir_code.id}`, undefined, { "if-match": "*" });
          if (how === "cut off") home.cut();
          await until(
            async () => {
              const state = await api.call<{ bridge: { counts: { devices: number } } }>("GET", "/api/v1/bridges/home_assistant");
              return state.body.bridge.counts.devices === 1;
            },
            { what: "what went to be taken back" },
          );
          if (how === "stopped") await home.start();
          const left = (): unknown[] => [gone, hidden].flatMap(({ uid }) => entitiesOf(home, uid));
          const isThere = (): boolean => entitiesOf(home, kept.uid).length === before.length - 1;
          await until(() => left().length === 0 && home.ghosts().length === 0 && isThere(), { what: "Home Assistant to let go" });
          assert.deepEqual(new Set(known()), new Set(before.filter((one) => !one.startsWith(`${button} `))));
          assert.deepEqual(home.faults, []);
          // What comes back is what it was.
          await must(api, "PATCH", `/api/v1/devices/${hidden.uid}/exposure`, { home_assistant: true });
          assert.equal((await entityOf(home, hidden.uid, "switch")).uniqueId, `hexa_${hidden.uid}_relay_0`);
        });
  });
