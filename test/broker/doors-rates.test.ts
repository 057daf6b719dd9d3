import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { rangeMatcher, sourceOf, withoutMapping } from "../../broker/addresses.ts";
import { type ConnectionRefusal, ConnectionRates } from "../../broker/connection-rates.ts";
import { createFlapping } from "../../broker/flapping.ts";
import { createLoginFailures } from "../../broker/login-failures.ts";
import { fullBucket, takeToken } from "../../broker/token-bucket.ts";
import { createTurnAway } from "../../broker/turned-away.ts";
import type { Log, Metrics } from "../../core/bus.ts";
import type { Principal } from "../../core/principal.ts";

/** Rates under a clock of the test's own, and what became of each connection. */
function ratesAt(limits: Partial<ConstructorParameters<typeof ConnectionRates>[0]> = {}) {
  const time = { now: 0 };
  const all = { mqttConnections: 100_000, mqttConnectRate: 0, mqttConnectBurst: 1, mqttAddressRate: 0, ...limits };
  const rates = new ConnectionRates(all, () => time.now);
  const answers: ("in" | "waits" | ConnectionRefusal)[] = [];
  const arrive = (address: string): { leave: () => void; answer: () => string } => {
    const index = answers.push("waits") - 1;
    const leave = rates.arrive(address, {
      admit() {
        assert.equal(answers[index], "waits");
        answers[index] = "in";
      },
      refuse(reason) {
        assert.equal(answers[index], "waits");
        answers[index] = reason;
      },
    });
    return { leave, answer: () => answers[index] as string };
  };
  const at = (ms: number): void => {
    time.now = ms;
    rates.admitDue();
  };
  const count = (answer: string): number => answers.filter((one) => one === answer).length;
  return { rates, time, arrive, at, count, answers, [Symbol.dispose]: () => rates.stop() };
}
const addressOf = (index: number): string => `10.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}`;

test("a token bucket gives its burst at once, then its rate, and never more than its burst after a pause", () => {
  const rate = { perSecond: 10, burst: 3 };
  const bucket = fullBucket(rate, 0);
  const taken = (now: number): number => {
    let count = 0;
    while (takeToken(bucket, rate, now)) count++;
    return count;
  };
  assert.deepEqual([0, 50, 100, 250, 300, 3_600_000].map(taken), [3, 0, 1, 1, 1, 3]);
  assert.equal(taken(0), 0, "a clock that steps back");
});

test("property: a bucket never gives more than burst + rate × time, however it is asked", () => {
  fc.assert(
    fc.property(
      fc.record({ perSecond: fc.double({ min: 0.1, max: 1_000, noNaN: true }), burst: fc.integer({ min: 1, max: 500 }) }),
      fc.array(fc.tuple(fc.integer({ min: -50, max: 500 }), fc.integer({ min: 1, max: 200 })), { maxLength: 60 }),
      (rate, steps) => {
        let now = 1_000;
        let latest = now;
        let forward = 0;
        let given = 0;
        const bucket = fullBucket(rate, now);
        for (const [stepMs, tries] of steps) {
          now += stepMs;
          forward += Math.max(0, stepMs);
          latest = Math.max(latest, now);
          for (let index = 0; index < tries; index++) if (takeToken(bucket, rate, now)) given++;
        }
        assert.ok(given <= rate.burst + (rate.perSecond * forward) / 1_000 + 1e-6);
      },
    ),
  );
});

test("a node takes its burst of connections at once, and the others in their order at its rate", () => {
  using world = ratesAt({ mqttConnectRate: 100, mqttConnectBurst: 5 });
  for (let index = 0; index < 25; index++) world.arrive(addressOf(index));
  assert.equal(world.count("in"), 5);
  for (const now of [20, 40, 60, 80, 100]) world.at(now);
  assert.deepEqual(world.answers, [...Array<string>(15).fill("in"), ...Array<string>(10).fill("waits")]);
  for (const now of [120, 140, 160, 180, 200]) world.at(now);
  assert.equal(world.count("in"), 25);
  assert.equal(world.rates.waiting, 0);
});

test("a timer lets in who waits, without anybody asking", async () => {
  const rates = new ConnectionRates({ mqttConnections: 10, mqttConnectRate: 50, mqttConnectBurst: 1, mqttAddressRate: 0 }, () =>
    performance.now(),
  );
  const { promise, resolve } = Promise.withResolvers<string>();
  for (let index = 0; index < 4; index++) rates.arrive("10.0.0.1", { admit: () => index === 3 && resolve("in"), refuse: resolve });
  assert.equal(rates.waiting > 0, true);
  const keepsAlive = setTimeout(resolve, 10_000, "nothing happened");
  assert.equal(await promise, "in");
  clearTimeout(keepsAlive);
  rates.stop();
});

test("no more than 2,000 wait for the node, none longer than 10 s, and the next one is refused at once", () => {
  using world = ratesAt({ mqttConnectRate: 300, mqttConnectBurst: 500 });
  const crowd = Array.from({ length: 3_000 }, (_, index) => world.arrive(addressOf(index)));
  assert.deepEqual([world.count("in"), world.count("waits"), world.count("node_rate")], [500, 2_000, 500]);
  world.at(10_000);
  // Nothing was let in for ten seconds, since nobody looked: whoever waited for all of them is told to go.
  assert.equal(world.count("waits"), 0);
  assert.equal(world.rates.waiting, 0);
  for (const { leave } of crowd) leave();
  assert.equal(world.rates.open, 0);
});

test("no more wait for the node than get in within 10 s", () => {
  using world = ratesAt({ mqttConnectRate: 3, mqttConnectBurst: 1 });
  for (let index = 0; index < 100; index++) world.arrive(addressOf(index));
  assert.deepEqual([world.count("in"), world.count("waits"), world.count("node_rate")], [1, 30, 69]);
});

test("an address has its own rate; 100 of it wait, more are refused, and nobody else notices", () => {
  using world = ratesAt({ mqttAddressRate: 20 });
  for (let index = 0; index < 200; index++) world.arrive("192.0.2.7");
  assert.deepEqual([world.count("in"), world.count("waits"), world.count("address_rate")], [20, 100, 80]);
  assert.equal(world.arrive("192.0.2.8").answer(), "in");
  world.at(1_000);
  assert.equal(world.count("in"), 41);
});

test("the addresses of one /64 network of IPv6 share a rate, and an address of IPv4 has it in both notations", () => {
  using world = ratesAt({ mqttAddressRate: 1 });
  assert.equal(world.arrive("2001:db8::1").answer(), "in");
  assert.equal(world.arrive("2001:db8:0:0:ffff::2").answer(), "waits");
  assert.equal(world.arrive("2001:db8:0:1::1").answer(), "in");
  assert.equal(world.arrive("::ffff:192.0.2.7").answer(), "in");
  assert.equal(world.arrive("192.0.2.7").answer(), "waits");
});

test("2,000 waiting for their addresses leave the places of those who wait for the node alone", () => {
  using world = ratesAt({ mqttAddressRate: 20, mqttConnectRate: 10_000, mqttConnectBurst: 500 });
  for (let source = 0; source < 25; source++) for (let index = 0; index < 120; index++) world.arrive(`192.0.2.${source}`);
  assert.equal(world.count("in"), 500);
  assert.equal(world.count("waits"), 2_000);
  assert.equal(world.count("address_rate"), 500);
  for (let index = 0; index < 1_000; index++) world.arrive(addressOf(index));
  assert.equal(world.rates.waiting, 3_000);
});

test("whoever leaves while waiting gives up the place and the token", () => {
  using world = ratesAt({ mqttConnectRate: 10, mqttConnectBurst: 1 });
  world.arrive("10.0.0.1");
  const [second, third] = [world.arrive("10.0.0.2"), world.arrive("10.0.0.3")];
  second.leave();
  second.leave();
  world.at(100);
  assert.deepEqual([second.answer(), third.answer()], ["waits", "in"]);
  assert.equal(world.rates.open, 2);
});

test("more connections than the node's total are refused at once, and taken when others have left", () => {
  using world = ratesAt({ mqttConnections: 3 });
  const [first] = [1, 2, 3].map((index) => world.arrive(addressOf(index)));
  assert.equal(world.arrive("10.0.0.9").answer(), "connections");
  first?.leave();
  assert.equal(world.arrive("10.0.0.9").answer(), "in");
});

test("a stop refuses who waits and who comes", () => {
  using world = ratesAt({ mqttConnectRate: 10, mqttConnectBurst: 1, mqttAddressRate: 1 });
  for (const address of ["10.0.0.1", "10.0.0.1", "10.0.0.2"]) world.arrive(address);
  world.rates.stop();
  world.arrive("10.0.0.3");
  assert.deepEqual(world.answers, ["in", "stopping", "stopping", "stopping"]);
});

test("property: of one node and of one address no more come in than burst + rate × time, and everybody gets one answer", () => {
  fc.assert(
    fc.property(
      fc.record({
        mqttConnectRate: fc.integer({ min: 1, max: 400 }),
        mqttConnectBurst: fc.integer({ min: 20, max: 60 }),
        mqttAddressRate: fc.integer({ min: 1, max: 50 }),
      }),
      fc.array(
        fc.record({
          stepMs: fc.integer({ min: 0, max: 2_000 }),
          source: fc.integer({ min: 0, max: 3 }),
          count: fc.integer({ min: 0, max: 80 }),
        }),
        {
          maxLength: 25,
        },
      ),
      (limits, steps) => {
        using world = ratesAt(limits);
        const from = [0, 1, 2, 3].map(() => [] as { answer: () => string }[]);
        for (const { stepMs, source, count } of steps) {
          world.at(world.time.now + stepMs);
          for (let index = 0; index < count; index++) from[source]?.push(world.arrive(addressOf(source)));
        }
        const seconds = world.time.now / 1_000;
        assert.ok(world.count("in") <= limits.mqttConnectBurst + limits.mqttConnectRate * seconds + 1e-6);
        for (const arrivals of from) {
          const letIn = arrivals.filter(({ answer }) => answer() === "in").length;
          assert.ok(letIn <= Math.max(1, limits.mqttAddressRate) * (1 + seconds) + 1e-6);
        }
        world.at(world.time.now + 60_000);
        world.at(world.time.now + 60_000);
        assert.equal(world.count("waits"), 0);
      },
    ),
    { numRuns: 60 },
  );
});

test("an address that failed to log in too often is blocked until the minute's rate gives it another try", () => {
  const time = { now: 0 };
  const failures = createLoginFailures(10, () => time.now);
  for (let index = 0; index < 10; index++) {
    assert.equal(failures.isBlocked("192.0.2.7"), false);
    failures.failed("192.0.2.7");
  }
  assert.equal(failures.isBlocked("192.0.2.7"), true);
  assert.equal(failures.isBlocked("192.0.2.8"), false);
  time.now = 5_900;
  assert.equal(failures.isBlocked("192.0.2.7"), true);
  time.now = 6_100;
  assert.equal(failures.isBlocked("192.0.2.7"), false);
  failures.failed("192.0.2.7");
  assert.equal(failures.isBlocked("192.0.2.7"), true);
});

test("without a limit of failures nobody is blocked", () => {
  const failures = createLoginFailures(0, () => 0);
  for (let index = 0; index < 1_000; index++) failures.failed("192.0.2.7");
  assert.equal(failures.isBlocked("192.0.2.7"), false);
});

test("a million addresses do not grow what is remembered of them", () => {
  const failures = createLoginFailures(10, () => 0);
  const networkOf = (index: number): string => `2001:db8:${(index >> 16).toString(16)}:${(index & 0xffff).toString(16)}::1`;
  for (let index = 0; index < 10; index++) failures.failed(networkOf(0));
  assert.equal(failures.isBlocked(networkOf(0)), true);
  for (let index = 1; index <= 10_000; index++) failures.failed(networkOf(index));
  // Forgotten, as the oldest of more than 10,000: the bound is what this shows.
  assert.equal(failures.isBlocked(networkOf(0)), false);
});

const DEVICE = { kind: "device", id: "d1", uid: "relay-1" } as unknown as Principal;
const OTHER = { kind: "user", id: "u1" } as unknown as Principal;

function flappingAt(limits = { mqttFlappingCount: 15, mqttFlappingBanS: 60 }) {
  const time = { now: 0 };
  const alarms: string[] = [];
  const logged: string[] = [];
  let counted = 0;
  const log: Log = { debug() {}, info() {}, warn: (_data, message) => void logged.push(message), error() {} };
  const metrics: Metrics = { count: () => counted++, observe() {} };
  const flapping = createFlapping({ limits, clock: () => time.now, log, metrics, onFlapping: (clientId) => alarms.push(clientId) });
  return { time, flapping, alarms, logged, counted: () => counted };
}

test("a client id that connects more than 15 times a minute is banned for a minute, with one alarm", () => {
  const { time, flapping, alarms, logged, counted } = flappingAt();
  const connects = Array.from({ length: 20 }, () => flapping.mayConnect("relay-1", DEVICE));
  assert.deepEqual(connects, [...Array<boolean>(15).fill(true), ...Array<boolean>(5).fill(false)]);
  assert.equal(flapping.mayConnect("relay-1", OTHER), true, "the ban is the principal's own");
  assert.equal(flapping.mayConnect("relay-2", DEVICE), true, "the ban is the client id's own");
  time.now = 59_999;
  assert.equal(flapping.mayConnect("relay-1", DEVICE), false);
  assert.deepEqual([alarms, logged.length, counted()], [["relay-1"], 1, 1]);
  time.now = 60_000;
  assert.equal(flapping.mayConnect("relay-1", DEVICE), true);
});

test("a link that goes on flapping after its ban stays one alarm; one that was quiet for long is a new one", () => {
  const { time, flapping, alarms, counted } = flappingAt();
  for (; time.now < 600_000; time.now += 1_000) flapping.mayConnect("relay-1", DEVICE);
  assert.deepEqual([alarms.length, counted() > 3], [1, true]);
  time.now += 3_600_000;
  for (let index = 0; index < 16; index++) flapping.mayConnect("relay-1", DEVICE);
  assert.equal(alarms.length, 2);
});

test("a device that comes back every five seconds is not banned", () => {
  const { time, flapping, alarms } = flappingAt();
  for (; time.now < 3_600_000; time.now += 5_000) assert.equal(flapping.mayConnect("relay-1", DEVICE), true);
  assert.deepEqual(alarms, []);
});

test("without a limit of connects nobody is banned", () => {
  const { flapping } = flappingAt({ mqttFlappingCount: 0, mqttFlappingBanS: 60 });
  assert.ok(Array.from({ length: 1_000 }, () => flapping.mayConnect("relay-1", DEVICE)).every(Boolean));
});

test("refused connections are all counted, and told once a second for each reason", () => {
  const time = { now: 0 };
  const counts: Record<string, number> = {};
  const lines: object[] = [];
  const log: Log = { debug() {}, info() {}, warn: (data) => void lines.push(data), error() {} };
  const metrics: Metrics = {
    count: (_name, labels) => void (counts[labels?.["reason"] ?? ""] = (counts[labels?.["reason"] ?? ""] ?? 0) + 1),
    observe() {},
  };
  const turnAway = createTurnAway({ log, metrics }, () => time.now);
  for (; time.now < 1_000; time.now += 10) turnAway("node_rate", "192.0.2.7");
  turnAway("connections", "192.0.2.8");
  turnAway("node_rate", "192.0.2.9");
  assert.deepEqual(counts, { node_rate: 101, connections: 1 });
  assert.deepEqual(lines, [
    { reason: "node_rate", remoteAddress: "192.0.2.7", untold: 0 },
    { reason: "connections", remoteAddress: "192.0.2.8", untold: 0 },
    { reason: "node_rate", remoteAddress: "192.0.2.9", untold: 99 },
  ]);
});

for (const [address, source, plain] of [
  ["192.0.2.7", "192.0.2.7", "192.0.2.7"],
  ["::ffff:192.0.2.7", "192.0.2.7", "192.0.2.7"],
  ["2001:DB8:0:0:1::1", "2001:db8:0:0::/64", "2001:db8::1:0:0:1"],
  ["::1", "0:0:0:0::/64", "::1"],
  ["fe80::1%eth0", "fe80:0:0:0::/64", "fe80::1%eth0"],
] as const)
  test(`${address} counts as ${source}`, () => {
    assert.equal(sourceOf(address), source);
    assert.equal(withoutMapping(address), plain);
  });

test("ranges hold the addresses inside them, of either family and notation", () => {
  const isInside = rangeMatcher(["10.0.0.0/8", "192.0.2.7", "fd00::/8"]);
  for (const address of ["10.1.2.3", "192.0.2.7", "::ffff:10.0.0.1", "fd00::5"]) assert.equal(isInside(address), true, address);
  for (const address of ["11.0.0.1", "192.0.2.8", "fe80::1", "", "balancer", undefined]) assert.equal(isInside(address), false, address);
  assert.equal(rangeMatcher([])("127.0.0.1"), false);
});
