import assert from "node:assert/strict";
import type { Log } from "../../core/bus.ts";
import type { Actor } from "../../core/principal.ts";
import { DEFAULT_RISK_POLICY, parseRiskPolicy } from "../../core/risk-policy.ts";
import type { Db } from "../../store/open.ts";
import { currentPolicy, defaultPolicy, lockPolicy, putPolicy } from "../../store/risk-policies.ts";
import { loadRiskPolicyDirectory } from "../../store/risk-policy-directory.ts";
import { readRiskSubject } from "../../store/risk-subjects.ts";
import { createSite } from "../../store/sites.ts";
import { inTransaction } from "../../store/transaction.ts";
import { forEachEngine } from "./engines.ts";
import { device, tenant } from "./fixtures.ts";

const NOW = Date.UTC(2026, 6, 1, 12);
const ADA: Actor = { kind: "user", id: "ada" };
const quiet = (): void => {};
const LOG: Log = { debug: quiet, info: quiet, warn: quiet, error: quiet };

async function setThreshold(db: Db, organizationId: string, threshold: number): Promise<void> {
  await inTransaction(db, async (trx) => {
    const before = await lockPolicy(trx, organizationId);
    const fields = { risk: parseRiskPolicy({ threshold }), fourEyes: true, pinRequired: false, approvalTimeoutS: 60 };
    await putPolicy(trx, before, fields, { actor: ADA, now: NOW });
  });
}

forEachEngine(({ test }) => {
  test("an organisation has the default until it has set something, and each its own", async (db) => {
    const [ours, theirs] = [await tenant(db, "ours"), await tenant(db, "theirs")];
    const { id } = ours.organization;
    assert.deepEqual(await currentPolicy(db, id), defaultPolicy(id));
    const risk = parseRiskPolicy({
      threshold: 33,
      time_zone: "Asia/Tokyo",
      rules: [{ name: "ünï \u2028", match: { payload: [{ path: "state", op: "in", value: ["ON", 1, true] }] }, allow: true }],
    });
    const put = await inTransaction(db, async (trx) =>
      putPolicy(
        trx,
        await lockPolicy(trx, id),
        { risk, fourEyes: true, pinRequired: true, approvalTimeoutS: 604_800 },
        { actor: ADA, now: NOW },
      ),
    );
    assert.deepEqual(put, {
      organizationId: id,
      version: 1,
      risk,
      fourEyes: true,
      pinRequired: true,
      approvalTimeoutS: 604_800,
      updatedAt: "2026-07-01T12:00:00.000Z",
      updatedBy: ADA,
    });
    assert.deepEqual(await currentPolicy(db, id), put);
    assert.equal((await currentPolicy(db, theirs.organization.id)).version, 0);
    await setThreshold(db, id, 50);
    const next = await currentPolicy(db, id);
    assert.deepEqual([next.version, next.risk, next.pinRequired], [2, { ...DEFAULT_RISK_POLICY, threshold: 50 }, false]);
  });

  test("changes at once come one after the other", async (db) => {
    const { organization } = await tenant(db, "ours");
    await Promise.all(Array.from({ length: 8 }, (_, index) => setThreshold(db, organization.id, index + 1)));
    assert.equal((await currentPolicy(db, organization.id)).version, 8);
  });

  test("what an older hub has not written is as the default says", async (db) => {
    const { organization } = await tenant(db, "ours");
    await setThreshold(db, organization.id, 50);
    await db("risk_policies").update({ policy: JSON.stringify({ weights: { commands: { restart: 1 } } }) });
    const { risk } = await currentPolicy(db, organization.id);
    assert.deepEqual(risk.weights.commands, { ...DEFAULT_RISK_POLICY.weights.commands, restart: 1 });
    assert.deepEqual([risk.threshold, risk.rules, risk.time_zone], [50, [], "UTC"]);
  });

  test("the directory has them all, follows a change, and forgets an organisation that is gone", async (db) => {
    const [ours, theirs] = [await tenant(db, "ours"), await tenant(db, "theirs")];
    await setThreshold(db, ours.organization.id, 40);
    await using directory = await loadRiskPolicyDirectory(db, LOG);
    const thresholds = () => [ours, theirs].map(({ organization }) => directory.of(organization.id).risk.threshold);
    assert.deepEqual(thresholds(), [40, 70]);
    await setThreshold(db, theirs.organization.id, 30);
    assert.deepEqual(thresholds(), [40, 70]);
    await directory.changed(theirs.organization.id);
    assert.deepEqual(thresholds(), [40, 30]);
    await db("risk_policies").where({ organization_id: ours.organization.id }).del();
    await directory.changed(ours.organization.id);
    assert.deepEqual(directory.of(ours.organization.id), defaultPolicy(ours.organization.id));
  });

  test("a device is judged in the zone of its site", async (db) => {
    const ours = await tenant(db, "ours");
    const made = await device(db, ours);
    assert.deepEqual(await readRiskSubject(db, made), {
      device: { uid: made.uid, class: "sensor_hub", sensitivity: "normal", siteId: null },
      timeZone: null,
    });
    const site = await createSite(db, ours.organization.id, {
      name: "Villa",
      description: null,
      timeZone: "Europe/Zurich",
      latitude: null,
      longitude: null,
      address: null,
    });
    const placed = await readRiskSubject(db, { ...made, siteId: site.id, sensitivity: "high" });
    assert.deepEqual(placed, {
      device: { uid: made.uid, class: "sensor_hub", sensitivity: "high", siteId: site.id },
      timeZone: "Europe/Zurich",
    });
  });
});
