import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type KeyRecord, type KeyRules, keyStateAt, planKeys, signingKeyAt } from "../../core/signing-key.ts";

const key = (kid: string, activatesAt: number, retiredAt: number | null, purpose: KeyRecord["purpose"] = "user_jwt"): KeyRecord => ({
  kid,
  purpose,
  createdAt: activatesAt - 60,
  activatesAt,
  retiredAt,
});

describe("signing keys", () => {
  const [old, now, next] = [key("old", 100, 200), key("now", 200, 300), key("next", 300, null)];
  const all = [old, now, next];

  test("follow each other by their times alone", () => {
    const states = (at: number) => all.map((one) => keyStateAt(one, at)).join(" ");
    assert.equal(states(199), "active next next");
    assert.equal(states(200), "retired active next");
    assert.equal(states(299), "retired active next");
    assert.equal(states(300), "retired retired active");
    for (const at of [100, 199, 200, 250, 300, 1_000])
      assert.equal(keyStateAt(signingKeyAt(all, at) as KeyRecord, at), "active", `at ${at}`);
  });

  test("one signs at any time, also for a clock that is behind the first one's making", () => {
    assert.equal(signingKeyAt(all, 0)?.kid, "old");
    assert.equal(signingKeyAt(all, 199)?.kid, "old");
    assert.equal(signingKeyAt(all.toReversed(), 250)?.kid, "now");
    assert.equal(signingKeyAt(all, 9_999)?.kid, "next");
    assert.equal(signingKeyAt([], 0), undefined);
  });

  const rules: KeyRules = {
    rotateAfterMs: 90,
    keptMs: { user_jwt: 30, device_jwt: 1, token_hmac: undefined },
    inUse: new Set(),
  };
  const plan = (keys: readonly KeyRecord[], at: number, changed: Partial<KeyRules> = {}) => {
    const { rotate, remove } = planKeys(keys, at, { ...rules, ...changed });
    return { rotate, remove: remove.map(({ kid }) => kid) };
  };

  test("of people's tokens become old, and no others by themselves", () => {
    const young = key("young", 1_000, null);
    assert.deepEqual(plan([young], 1_089), { rotate: [], remove: [] });
    assert.deepEqual(plan([young], 1_090), { rotate: ["user_jwt"], remove: [] });
    assert.deepEqual(plan([young], 99_999, { rotateAfterMs: 0 }), { rotate: [], remove: [] });
    // The next one is on its way.
    assert.deepEqual(plan([{ ...young, retiredAt: 1_100 }, key("next", 1_100, null)], 1_095), { rotate: [], remove: [] });
    assert.deepEqual(plan([key("d", 0, null, "device_jwt"), key("t", 0, null, "token_hmac")], 99_999), { rotate: [], remove: [] });
    assert.deepEqual(plan([], 99_999), { rotate: [], remove: [] });
  });

  test("go when everything that they signed has ended, and nothing needs them", () => {
    const devices = [key("d1", 0, 100, "device_jwt"), key("d2", 100, null, "device_jwt")];
    const hashes = [key("t1", 0, 100, "token_hmac"), key("t2", 100, null, "token_hmac")];
    const never = { rotateAfterMs: 0 };
    assert.deepEqual(plan([...all, ...devices, ...hashes], 229, never).remove, ["d1"]);
    assert.deepEqual(plan([...all, ...devices, ...hashes], 230, never).remove, ["old", "d1"]);
    assert.deepEqual(plan([...all, ...devices, ...hashes], 99_999, never).remove, ["old", "now", "d1"]);
    assert.deepEqual(plan(devices, 99_999, { ...never, inUse: new Set(["d1"]) }).remove, []);
    assert.deepEqual(plan(devices, 100, never).remove, []);
  });
});
