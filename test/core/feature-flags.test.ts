import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  checkFlag,
  compareVersions,
  evaluateFlag,
  type FeatureFlag,
  type FlagContext,
  FlagDefinition,
  rolloutBucket,
} from "../../core/feature-flags.ts";
import { HubError } from "../../core/errors.ts";
import { parserFor } from "../../core/validate.ts";

const ANN = "0193b0f2-7c1e-7d3a-9a51-3f1d5f0c7a10";
const BOB = "0193b0f2-7c1e-7d3a-9a51-3f1d5f0c7a11";
const ACME = "0193b0f2-7c1e-7d3a-9a51-3f1d5f0c7a12";

const flag = (definition: Partial<FeatureFlag> = {}): FeatureFlag => ({
  id: "0193b0f2-7c1e-7d3a-9a51-000000000001",
  name: "console.new_charts",
  description: "",
  enabled: true,
  conditions: [],
  rollout_percentage: 100,
  target_users: [],
  metadata: {},
  version: 1,
  created_at: "2026-01-01T00:00:00.000Z",
  updated_at: "2026-01-01T00:00:00.000Z",
  ...definition,
});
const asker = (about: Partial<FlagContext> = {}): FlagContext => ({
  userId: ANN,
  organizationId: ACME,
  role: "admin",
  email: "ann@mail.example.org",
  version: "1.4.0",
  ...about,
});
type Condition = FeatureFlag["conditions"][number];

describe("a feature flag", () => {
  test("that is off is off for everybody, also for those who are named", () => {
    const off = flag({ enabled: false, target_users: [ANN] });
    assert.deepEqual(evaluateFlag(off, asker()), { enabled: false, reason: "disabled" });
  });

  test("is on for those who are named, whatever the conditions and the percentage say", () => {
    const named = flag({
      target_users: [ANN.toUpperCase()],
      conditions: [{ operator: "eq", attribute: "role", value: "viewer" }],
      rollout_percentage: 0,
    });
    assert.deepEqual(evaluateFlag(named, asker()), { enabled: true, reason: "target_user" });
    assert.deepEqual(evaluateFlag(named, asker({ userId: BOB })), { enabled: false, reason: "condition" });
    assert.deepEqual(evaluateFlag(named, asker({ userId: BOB, role: "viewer" })), { enabled: false, reason: "outside_rollout" });
  });

  const cases: readonly [Condition, Partial<FlagContext>, boolean][] = [
    [{ operator: "eq", attribute: "role", value: "admin" }, {}, true],
    [{ operator: "eq", attribute: "role", value: "owner" }, {}, false],
    [{ operator: "ne", attribute: "role", value: "owner" }, {}, true],
    [{ operator: "eq", attribute: "role", value: "admin" }, { role: null }, false],
    [{ operator: "ne", attribute: "role", value: "admin" }, { role: null }, true],
    [{ operator: "in", attribute: "role", values: ["owner", "admin"] }, {}, true],
    [{ operator: "not_in", attribute: "role", values: ["owner", "admin"] }, {}, false],
    [{ operator: "not_in", attribute: "role", values: ["owner", "admin"] }, { role: null }, true],
    [{ operator: "eq", attribute: "organization_id", value: ACME.toUpperCase() }, {}, true],
    [{ operator: "eq", attribute: "organization_id", value: BOB }, {}, false],
    [{ operator: "in", attribute: "user_id", values: [BOB, ANN] }, {}, true],
    [{ operator: "eq", attribute: "email_domain", value: "mail.EXAMPLE.org" }, {}, true],
    [{ operator: "eq", attribute: "email_domain", value: "example.org" }, {}, false],
    [{ operator: "ends_with", attribute: "email_domain", value: ".example.org" }, {}, true],
    [{ operator: "ends_with", attribute: "email_domain", value: ".example.com" }, {}, false],
    [{ operator: "ends_with", attribute: "email_domain", value: "org" }, { email: null }, false],
    [{ operator: "gte", attribute: "version", value: "1.4.0" }, {}, true],
    [{ operator: "gte", attribute: "version", value: "1.10.0" }, {}, false],
    [{ operator: "gte", attribute: "version", value: "1.4.0" }, { version: "1.4.0-rc.1" }, false],
    [{ operator: "gte", attribute: "version", value: "0.0.1" }, { version: "no version" }, false],
    [{ operator: "eq", attribute: "version", value: "1.4.0+build.7" }, {}, true],
    [{ operator: "not_in", attribute: "version", values: ["1.3.0", "1.4.0"] }, {}, false],
  ];
  for (const [condition, about, isOn] of cases)
    test(`${JSON.stringify(condition)} ${isOn ? "holds" : "does not hold"} for ${JSON.stringify(about)}`, () =>
      assert.equal(evaluateFlag(flag({ conditions: [condition] }), asker(about)).enabled, isOn));

  test("is on where all conditions hold, and not where one does not", () => {
    const both: Condition[] = [
      { operator: "eq", attribute: "role", value: "admin" },
      { operator: "gte", attribute: "version", value: "2.0.0" },
    ];
    assert.deepEqual(evaluateFlag(flag({ conditions: both }), asker()), { enabled: false, reason: "condition" });
    assert.deepEqual(evaluateFlag(flag({ conditions: both }), asker({ version: "2.0.0" })), { enabled: true, reason: "inside_rollout" });
  });
});

describe("a rollout", () => {
  const ids = fc.uuid();
  const percentages = fc.integer({ min: 0, max: 10_000 }).map((hundredths) => hundredths / 100);

  test("takes nobody out whom a lower percentage has let in, and is the same each time", () =>
    fc.assert(
      fc.property(ids, ids, percentages, percentages, (id, userId, a, b) => {
        const isOn = (rollout_percentage: number) => evaluateFlag(flag({ id, rollout_percentage }), asker({ userId })).enabled;
        const [low, high] = [Math.min(a, b), Math.max(a, b)];
        assert.ok(!isOn(low) || isOn(high), `${low} ${high}`);
        assert.equal(isOn(low), isOn(low));
        assert.equal(isOn(0), false);
        assert.equal(isOn(100), true);
      }),
      { numRuns: 1_000 },
    ));

  test("takes the hundredth that its bucket says, neither one more nor one less", () =>
    fc.assert(
      fc.property(ids, ids, (id, userId) => {
        const bucket = rolloutBucket(id, userId);
        assert.ok(Number.isInteger(bucket) && bucket >= 0 && bucket < 10_000);
        const isOn = (hundredths: number) => evaluateFlag(flag({ id, rollout_percentage: hundredths / 100 }), asker({ userId })).enabled;
        assert.deepEqual([isOn(bucket), isOn(bucket + 1)], [false, true]);
      }),
      { numRuns: 1_000 },
    ));

  test("is the remainder of SHA-256, as another program can work it out", () => {
    // python3 -c 'import hashlib; print(int(hashlib.sha256(b"flag:user").hexdigest(), 16) % 10000)'
    assert.equal(rolloutBucket("flag", "user"), 6_144);
  });

  test("lets in the share that it says, and of two flags each lets in others", () => {
    const users = Array.from({ length: 100_000 }, (_, index) => `user-${index}`);
    const [one, other] = [users.map((user) => rolloutBucket("flag-one", user)), users.map((user) => rolloutBucket("flag-other", user))];
    for (const percentage of [1, 10, 50, 90]) {
      const limit = percentage * 100;
      const share = (all: readonly boolean[]) => all.filter(Boolean).length / users.length;
      const [inOne, inOther] = [one.map((bucket) => bucket < limit), other.map((bucket) => bucket < limit)];
      // Five times the standard deviation: once in a million such tests, and the ids are always the same.
      const tolerance = (p: number) => 5 * Math.sqrt((p * (1 - p)) / users.length);
      const p = percentage / 100;
      assert.ok(Math.abs(share(inOne) - p) < tolerance(p), `${percentage} %: ${share(inOne)}`);
      assert.ok(Math.abs(share(inOther) - p) < tolerance(p), `${percentage} %: ${share(inOther)}`);
      const both = share(inOne.map((isIn, index) => isIn && (inOther[index] as boolean)));
      assert.ok(Math.abs(both - p * p) < tolerance(p * p), `both ${percentage} %: ${both}`);
    }
    const largest = Math.max(...[...Map.groupBy(one, (bucket) => Math.floor(bucket / 100)).values()].map((bucket) => bucket.length));
    assert.ok(largest < 1_000 + 5 * Math.sqrt(1_000), `${largest} in a hundredth`);
  });
});

test("versions are in the order of semantic versioning", () => {
  const ordered = [
    "no version",
    "0.9.9",
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-rc.1",
    "1.0.0",
    "1.0.1",
    "1.2.0",
    "1.10.0",
    "2.0.0",
  ];
  for (const [i, a] of ordered.entries())
    for (const [j, b] of ordered.entries()) assert.equal(Math.sign(compareVersions(a, b)), Math.sign(i - j), `${a} and ${b}`);
});

describe("a definition", () => {
  const parse = parserFor(FlagDefinition);
  const { id: _id, version: _version, created_at: _created, updated_at: _updated, ...definition } = flag();
  const codeOf = (change: object): string => {
    try {
      checkFlag(parse({ ...definition, ...change }));
      return "accepted";
    } catch (error) {
      assert.ok(error instanceof HubError, String(error));
      return error.code;
    }
  };
  const condition = (value: object) => ({ conditions: [value] });

  for (const good of [
    {},
    condition({ operator: "eq", attribute: "role", value: "viewer" }),
    condition({ operator: "in", attribute: "organization_id", values: [ACME] }),
    condition({ operator: "ends_with", attribute: "email_domain", value: ".example.org" }),
    condition({ operator: "gte", attribute: "version", value: "1.0.0-rc.1" }),
    { rollout_percentage: 0.01, target_users: [ANN], metadata: { team: "charts" } },
  ])
    test(`takes ${JSON.stringify(good)}`, () => assert.equal(codeOf(good), "accepted"));

  for (const bad of [
    { name: "New Charts" },
    { rollout_percentage: 100.01 },
    { rollout_percentage: -1 },
    { target_users: ["ann"] },
    { target_users: ["------------------------------------"] },
    { unknown: true },
    { metadata: { text: "x".repeat(16_384) } },
    condition({ operator: "matches", attribute: "role", value: ".*" }),
    condition({ operator: "eq", attribute: "shoe_size", value: "43" }),
    condition({ operator: "eq", attribute: "role", value: "king" }),
    condition({ operator: "eq", attribute: "role" }),
    condition({ operator: "in", attribute: "role", value: "viewer" }),
    condition({ operator: "in", attribute: "role", values: [] }),
    condition({ operator: "ends_with", attribute: "role", value: "er" }),
    condition({ operator: "gte", attribute: "version", value: "1.0" }),
    condition({ operator: "gte", attribute: "role", value: "viewer" }),
    condition({ operator: "eq", attribute: "user_id", value: "ann" }),
  ])
    test(`refuses ${JSON.stringify(bad).slice(0, 120)}`, () => assert.equal(codeOf(bad), "validation_error"));
});
