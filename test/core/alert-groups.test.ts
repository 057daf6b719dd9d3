import assert from "node:assert/strict";
import { test } from "node:test";
import { type Fleet, isStillLost, lossesOf, lossFor, type Lost } from "../../core/alert-groups.ts";

const lost = (count: number, siteId: string | null, more: Partial<Lost> & { from?: number; everyMs?: number } = {}): Lost[] =>
  Array.from({ length: count }, (_, index) => ({
    device: `${siteId}-${(more.from ?? 0) + index}`,
    siteId,
    at: (more.at ?? 0) + index * (more.everyMs ?? 10),
    gateways: more.gateways ?? [],
  }));
const fleet = (sites: Record<string, number>, homeless = 0, gateways: Record<string, number> = {}): Fleet => ({
  organization: Object.values(sites).reduce((sum, n) => sum + n, homeless),
  sites: new Map(Object.entries(sites)),
  gateways: new Map(Object.entries(gateways)),
});
const told = (all: readonly Lost[], of: Fleet): string[] => {
  const { losses, alone } = lossesOf(all, of);
  return [
    ...losses.map(({ subject, devices, total }) => `${subject}: ${devices.length} of ${total}`),
    ...(alone.length > 0 ? [`alone: ${alone.length}`] : []),
  ];
};

const CASES: readonly [string, readonly Lost[], Fleet, readonly string[]][] = [
  ["a router of forty", lost(37, "villa"), fleet({ villa: 40, barn: 8 }), ["site villa: 37 of 40"]],
  ["fewer than five", lost(4, "villa"), fleet({ villa: 4, barn: 8 }), ["alone: 4"]],
  ["just a half", lost(10, "villa"), fleet({ villa: 20 }), ["alone: 10"]],
  ["more than a half", lost(11, "villa"), fleet({ villa: 20 }), ["site villa: 11 of 20"]],
  ["one after the other over an hour", lost(10, "villa", { everyMs: 360_000 }), fleet({ villa: 12 }), ["alone: 10"]],
  [
    "the slow rest of a loss",
    [...lost(8, "villa"), ...lost(1, "villa", { from: 8, at: 300_000 })],
    fleet({ villa: 12 }),
    ["site villa: 9 of 12"],
  ],
  ["two sites at once, of three", [...lost(6, "a"), ...lost(7, "b")], fleet({ a: 6, b: 7, c: 3 }), ["site a: 6 of 6", "site b: 7 of 7"]],
  ["everything", [...lost(6, "a"), ...lost(7, "b")], fleet({ a: 6, b: 7 }), ["organization *: 13 of 13"]],
  ["everything that is on one site", lost(6, "a"), fleet({ a: 6 }), ["site a: 6 of 6"]],
  ["everything, on no site", lost(6, null), fleet({}, 6), ["organization *: 6 of 6"]],
  ["some on no site", lost(6, null), fleet({}, 7), ["alone: 6"]],
  [
    "a gateway with two behind it",
    [...lost(1, "a"), ...lost(2, "a", { from: 1, gateways: ["a-0"] }), ...lost(1, "a", { from: 9 })],
    fleet({ a: 20 }, 0, { "a-0": 4 }),
    ["gateway a-0: 3 of 4", "alone: 1"],
  ],
  ["what is behind a gateway that is there", lost(2, "a", { gateways: ["hub"] }), fleet({ a: 20 }, 0, { hub: 3 }), ["alone: 2"]],
];

test("many that go at once are one loss", () => {
  for (const [name, all, of, wanted] of CASES) assert.deepEqual(told(all, of), wanted, name);
});

test("a later one belongs to the loss that is open", () => {
  const open = new Set(["site villa", "gateway hub"]);
  assert.equal(lossFor({ siteId: "villa", gateways: [] }, open), "site villa");
  assert.equal(lossFor({ siteId: "barn", gateways: ["hub"] }, open), "gateway hub");
  assert.equal(lossFor({ siteId: null, gateways: [] }, open), undefined);
  assert.equal(lossFor({ siteId: null, gateways: [] }, new Set(["organization *"])), "organization *");
});

test("a loss is over when half is back, one of a gateway when the gateway is", () => {
  assert.equal(isStillLost("site villa", ["a", "b", "c"], 5), true);
  assert.equal(isStillLost("site villa", ["a", "b"], 4), false);
  assert.equal(isStillLost("gateway hub", ["hub"], 40), true);
  assert.equal(isStillLost("gateway hub", ["a", "b", "c"], 4), false);
});
