import assert from "node:assert/strict";
import { test } from "node:test";
import { HubError } from "../../core/errors.ts";
import { DEFAULT_RISK_POLICY, parseRiskPolicy } from "../../core/risk-policy.ts";

const rule = (more: object = {}) => ({ name: "a", match: { commands: ["restart"] }, points: 10, ...more });

test("what is left out of a policy is as in the default", () => {
  assert.deepEqual(parseRiskPolicy({}), DEFAULT_RISK_POLICY);
  const policy = parseRiskPolicy({ threshold: 40, weights: { commands: { restart: 0 }, night: { points: 3 } }, rules: [rule()] });
  assert.equal(policy.threshold, 40);
  assert.deepEqual(policy.weights.commands, { ...DEFAULT_RISK_POLICY.weights.commands, restart: 0 });
  assert.deepEqual(policy.weights.night, { from: "22:00", to: "06:00", points: 3 });
  assert.deepEqual(policy.rules, [rule()]);
  assert.deepEqual(parseRiskPolicy(policy), policy);
});

test("a policy that makes no sense is refused with the place of its fault", () => {
  const table: [object, string][] = [
    [{ threshold: 0 }, "/threshold"],
    [{ threshold: null }, "/"],
    [{ time_zone: "Europe/Atlantis" }, "/time_zone"],
    [{ time_zone: "+01:00" }, "/time_zone"],
    [{ weights: { sensitivity: { high: 71 } } }, "/weights/sensitivity/critical"],
    [{ weights: { sensitivity: { low: 1 } } }, "/weights/sensitivity/normal"],
    [{ weights: { night: { from: "06:00" } } }, "/weights/night/to"],
    [{ weights: { night: { points: 101 } } }, "/weights/night/points"],
    [{ weights: { commands: { explode: 1 } } }, "/weights/commands"],
    [JSON.parse('{ "weights": { "__proto__": { "x": 1 } } }') as object, "/weights"],
    [{ rules: [rule(), rule()] }, "/rules/1/name"],
    [{ rules: [rule({ allow: true })] }, "/rules/0"],
    [{ rules: [{ name: "a", match: { commands: ["restart"] } }] }, "/rules/0"],
    [{ rules: [rule({ match: {} })] }, "/rules/0/match"],
    [{ rules: [rule({ match: { time_window: { from: "10:00", to: "10:00" } } })] }, "/rules/0/match/time_window/to"],
    [
      { rules: [rule({ match: { time_window: { from: "10:00", to: "11:00", time_zone: "Nowhere" } } })] },
      "/rules/0/match/time_window/time_zone",
    ],
    [{ rules: [rule({ match: { payload: [{ path: "a.b.c", op: "eq", value: 1 }] } })] }, "/rules/0/match/payload/0/path"],
    [{ rules: Array.from({ length: 101 }, (_, index) => rule({ name: `${index}` })) }, "/rules"],
    [
      {
        rules: Array.from({ length: 100 }, (_, index) =>
          rule({
            name: `${index} ${"x".repeat(90)}`,
            match: { devices: Array.from({ length: 40 }, (_each, at) => `relay-${"0".repeat(20)}${at}`) },
          }),
        ),
      },
      "/",
    ],
  ];
  for (const [parts, path] of table)
    assert.throws(
      () => parseRiskPolicy(parts),
      (error) => {
        assert.ok(error instanceof HubError && error.code === "validation_error", String(error));
        const paths = (error.details as { path: string }[]).map((one) => one.path);
        assert.ok(paths.includes(path), `${JSON.stringify(parts).slice(0, 200)}: ${paths.join(" ")}`);
        return true;
      },
    );
});
