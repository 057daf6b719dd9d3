import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { HubError } from "../../core/errors.ts";
import {
  checkNotificationSettings,
  isMuted,
  mailTime,
  notificationSettingsOf,
  type QuietHours,
  quietUntil,
} from "../../core/notification-settings.ts";
import { fitting, type NewNotification } from "../../core/notification.ts";

const MINUTE = 60_000;
const night = (more: Partial<QuietHours> = {}): QuietHours => ({ from: "22:00", to: "06:30", time_zone: "Europe/Zurich", ...more });

describe("quiet hours", () => {
  /** The hours, an instant, and until when it is quiet then. 2026-11-22 is a Sunday. */
  const cases: readonly [string, QuietHours, string, string | undefined][] = [
    ["in the evening", night(), "2026-11-22T21:15:30Z", "2026-11-23T05:30:00Z"],
    ["after midnight", night(), "2026-11-23T04:00Z", "2026-11-23T05:30:00Z"],
    ["as they begin", night(), "2026-11-22T21:00Z", "2026-11-23T05:30:00Z"],
    ["a moment before", night(), "2026-11-22T20:59:59.999Z", undefined],
    ["as they end", night(), "2026-11-23T05:30Z", undefined],
    ["in the last moment", night(), "2026-11-23T05:29:59.999Z", "2026-11-23T05:30:00Z"],
    ["by day", night({ from: "12:00", to: "13:00" }), "2026-11-22T11:20Z", "2026-11-22T12:00:00Z"],
    ["in summer time", night(), "2026-07-01T21:00Z", "2026-07-02T04:30:00Z"],
    ["in a night that is an hour shorter", night(), "2026-03-28T22:00Z", "2026-03-29T04:30:00Z"],
    ["in a night that is an hour longer", night(), "2026-10-24T21:00Z", "2026-10-25T05:30:00Z"],
    ["when the clocks skip their end", night({ to: "02:30" }), "2026-03-28T23:00Z", "2026-03-29T01:00:00Z"],
    ["when the clocks show their end twice, the first time", night({ to: "02:30" }), "2026-10-24T23:00Z", "2026-10-25T00:30:00Z"],
    ["and the second time", night({ to: "02:30" }), "2026-10-25T01:10Z", "2026-10-25T01:30:00Z"],
    ["when the hour that ends them comes back", night({ to: "03:00" }), "2026-10-25T00:30Z", "2026-10-25T02:00:00Z"],
    ["on a day that they begin on", night({ days: ["sun"] }), "2026-11-22T22:00Z", "2026-11-23T05:30:00Z"],
    ["after midnight of that day", night({ days: ["sun"] }), "2026-11-23T03:00Z", "2026-11-23T05:30:00Z"],
    ["on another day", night({ days: ["mon"] }), "2026-11-22T22:00Z", undefined],
    ["after midnight of another day", night({ days: ["mon"] }), "2026-11-23T03:00Z", undefined],
    ["from Sunday into Monday", night({ days: ["mon", "sun"] }), "2026-11-23T03:00Z", "2026-11-23T05:30:00Z"],
    ["where clocks go by half an hour", night({ time_zone: "Australia/Lord_Howe" }), "2026-04-04T12:00Z", "2026-04-04T20:00:00Z"],
    ["where a whole day was skipped", night({ time_zone: "Pacific/Apia" }), "2011-12-30T09:00Z", "2011-12-30T16:30:00Z"],
    ["all day but a minute", night({ from: "00:00", to: "23:59", time_zone: "UTC" }), "2026-11-22T00:00Z", "2026-11-22T23:59:00Z"],
    [
      "when they end in what is skipped, and begin behind it",
      night({ from: "03:00", to: "02:59" }),
      "2026-03-28T12:00Z",
      "2026-03-30T00:59:00Z",
    ],
    [
      "when they end in what is skipped, and begin again a little behind it",
      night({ from: "03:07", to: "02:30" }),
      "2026-03-28T12:00Z",
      "2026-03-29T01:00:00Z",
    ],
    ["when what is shown again begins before they end", night({ from: "02:30", to: "02:10" }), "2026-10-25T00:40Z", "2026-10-25T01:10:00Z"],
    [
      "when an hour is skipped between now and their end",
      night({ from: "00:07", to: "00:00" }),
      "2026-03-29T00:59:59.999Z",
      "2026-03-29T22:00:00Z",
    ],
  ];
  for (const [what, hours, now, end] of cases)
    test(what, () => {
      const until = quietUntil(hours, Date.parse(now));
      assert.equal(until === undefined ? undefined : new Date(until).toISOString().replace(".000Z", "Z"), end);
    });

  /** What the clocks show at an instant, worked out by another way than the hub's. */
  function shownAt(instant: number, timeZone: string): { day: string; time: string } {
    const date = new Date(instant);
    const day = date.toLocaleDateString("en-US", { timeZone, weekday: "short" }).toLowerCase();
    return { day, time: date.toLocaleTimeString("en-GB", { timeZone, hour: "2-digit", minute: "2-digit" }) };
  }
  const WEEK = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;
  function isQuietAt({ from, to, time_zone, days = [...WEEK] }: QuietHours, instant: number): boolean {
    const { day, time } = shownAt(instant, time_zone);
    const before = WEEK[(WEEK.indexOf(day as "mon") + 6) % 7] as (typeof WEEK)[number];
    if (from < to) return time >= from && time < to && days.includes(day as "mon");
    return (time >= from && days.includes(day as "mon")) || (time < to && days.includes(before));
  }

  test("end in the first minute that is not quiet, whatever the zone does meanwhile", () => {
    const time = fc
      .integer({ min: 0, max: 1_439 })
      .map((minute) => `${String(Math.trunc(minute / 60)).padStart(2, "0")}:${String(minute % 60).padStart(2, "0")}`);
    // Around changes of the clocks, and anywhere.
    const around = fc
      .constantFrom(
        "2026-03-29T01:00Z",
        "2026-10-25T01:00Z",
        "2026-03-08T07:00Z",
        "2026-11-01T06:00Z",
        "2026-04-04T15:00Z",
        "2026-10-03T15:30Z",
      )
      .chain((change) => fc.integer({ min: -1_600 * MINUTE, max: 300 * MINUTE }).map((ms) => Date.parse(change) + ms));
    const anywhere = fc.integer({ min: Date.UTC(2024, 0), max: Date.UTC(2030, 0) });
    const hours = fc
      .record(
        {
          from: time,
          to: time,
          time_zone: fc.constantFrom(
            "Europe/Zurich",
            "America/New_York",
            "Australia/Lord_Howe",
            "Asia/Kathmandu",
            "UTC",
            "Pacific/Kiritimati",
          ),
          days: fc.uniqueArray(fc.constantFrom(...WEEK), { minLength: 1, maxLength: 7 }),
        },
        { requiredKeys: ["from", "to", "time_zone"] },
      )
      .filter(({ from, to }) => from !== to);
    let quiet = 0;
    fc.assert(
      fc.property(hours, fc.oneof(around, anywhere), (one, now) => {
        const until = quietUntil(one, now);
        assert.equal(until !== undefined, isQuietAt(one, now));
        if (until === undefined) return;
        quiet++;
        assert.ok(until > now && until % MINUTE === 0);
        assert.equal(isQuietAt(one, until), false);
        // Every seventh minute in between, and those next to its two ends.
        for (let at = now; at < until; at += 7 * MINUTE) assert.equal(isQuietAt(one, at), true, new Date(at).toISOString());
        assert.equal(isQuietAt(one, until - 1), true);
      }),
      { numRuns: 1_000 },
    );
    assert.ok(quiet > 50, `${quiet}`);
  });
});

describe("what a person wants", () => {
  const now = Date.parse("2026-11-22T22:00Z");
  const end = Date.parse("2026-11-23T05:30Z");
  const all = { info: ["email"], warning: ["email"], critical: ["email"] };

  test("decides what goes out by e-mail, and when", () => {
    const preset = notificationSettingsOf({});
    assert.deepEqual(
      (["info", "warning", "critical"] as const).map((severity) => mailTime(preset, severity, now)),
      [undefined, undefined, now],
    );
    const quiet = notificationSettingsOf({ channels: all, quiet_hours: night() });
    assert.deepEqual([mailTime(quiet, "warning", now), mailTime(quiet, "critical", now)], [end, now]);
    assert.equal(mailTime(quiet, "info", end), end);
    const strict = notificationSettingsOf({ channels: all, quiet_hours: night({ critical_waits: true }) });
    assert.equal(mailTime(strict, "critical", now), end);
    const none = notificationSettingsOf({ channels: { critical: [] } });
    assert.equal(mailTime(none, "critical", now), undefined);
  });

  test("mutes one source, or all of a kind, and what is critical of it only when it says so", () => {
    const settings = notificationSettingsOf({
      muted_sources: [
        { kind: "alert" },
        { kind: "automation", id: "a" },
        { kind: "task", including_critical: true },
        { kind: "task", id: "t" },
      ],
    });
    const cases = [
      ["alert", "x", true, false],
      ["automation", "a", true, false],
      ["automation", "b", false, false],
      ["task", "t", true, true],
      ["task", "u", true, true],
      ["system", "a", false, false],
    ] as const;
    for (const [kind, id, isQuiet, isSilent] of cases) {
      const source = { kind, id };
      const found = (["info", "warning", "critical"] as const).map((severity) => isMuted(settings, { source, severity }));
      assert.deepEqual(found, [isQuiet, isQuiet, isSilent], `${kind} ${id}`);
    }
  });

  test("is refused where it makes no sense, and left out where that stands there already", () => {
    const senseless: readonly Record<string, unknown>[] = [
      { channels: "all" },
      { channels: { info: ["pigeon"] } },
      { channels: { info: ["email", "email"] } },
      { channels: { grave: [] } },
      { quiet_hours: true },
      { quiet_hours: { ...night(), from: "24:00" } },
      { quiet_hours: { ...night(), time_zone: "Europe/Atlantis" } },
      { quiet_hours: { ...night(), time_zone: "+01:00" } },
      { quiet_hours: { ...night(), to: "22:00" } },
      { quiet_hours: { ...night(), days: [] } },
      { quiet_hours: { ...night(), days: ["monday"] } },
      { quiet_hours: { from: "22:00", to: "06:00" } },
      { quiet_hours: { ...night(), until: "06:00" } },
      { muted_sources: {} },
      { muted_sources: [{ kind: "device" }] },
      { muted_sources: [{ kind: "alert", including_critical: "yes" }] },
      { muted_sources: Array.from({ length: 201 }, () => ({ kind: "alert" })) },
    ];
    for (const content of senseless) {
      const isRefused = (error: unknown): boolean =>
        error instanceof HubError && error.code === "validation_error" && error.message.includes("/notification_settings/");
      assert.throws(() => checkNotificationSettings(content, Object.keys(content)), isRefused, JSON.stringify(content));
      // Another member is changed.
      checkNotificationSettings({ ...content, sound: "bell" }, ["sound"]);
      assert.deepEqual(notificationSettingsOf(content), notificationSettingsOf({}), JSON.stringify(content));
    }
    const sensible = {
      channels: { info: ["email"] },
      quiet_hours: night({ days: ["mon"] }),
      muted_sources: [{ kind: "task" }],
      sound: "bell",
    };
    checkNotificationSettings(sensible, Object.keys(sensible));
  });
});

describe("a notification", () => {
  const wanted: NewNotification = {
    organizationId: "o",
    to: "everybody",
    severity: "info",
    title: "Wet",
    body: "",
    source: { kind: "alert", id: "a" },
    correlationId: "c",
  };
  test("is cut to what fits, and its title is one line", () => {
    const title = `a\r\nBcc: b${"🐄".repeat(200)}`;
    const cut = fitting({ ...wanted, title, body: `line\n\tline\u0007${"x".repeat(3_000)}` });
    assert.ok(
      cut.title.startsWith("a Bcc: b🐄") && cut.title.length <= 200 && cut.title.isWellFormed() && cut.title.endsWith("🐄…"),
      cut.title,
    );
    assert.ok(cut.body.startsWith("line\n\tline x") && cut.body.length === 2_000);
    assert.equal(fitting({ ...wanted, title: "\n" }).title, "…");
    assert.equal(fitting({ ...wanted, groupKey: "k".repeat(201) }).groupKey, undefined);
    assert.deepEqual(fitting({ ...wanted, groupKey: "k" }), { ...wanted, groupKey: "k" });
  });

  test("has no more than 4 KiB of data", () => {
    fitting({ ...wanted, data: { text: "x".repeat(4_000) } });
    assert.throws(() => fitting({ ...wanted, data: { text: "x".repeat(4_096) } }), /\/data has 4107 bytes/);
  });
});
