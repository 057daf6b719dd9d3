import assert from "node:assert/strict";
import { test } from "node:test";
import { type LetterContext, wordsOf } from "../../bridges/mail/letter.ts";
import type { Mail } from "../../core/mail.ts";
import type { Notification, Severity } from "../../core/notification.ts";

const TOKEN = `hxv_${"T".repeat(43)}`;
const asking = { token: TOKEN, address: "203.0.113.7" };
const about = {
  recipient: "ada@example.com",
  baseUrl: "https://hub.example",
  writtenAt: new Date("2026-11-22T10:30:00Z"),
  expiresAt: new Date("2026-11-22T11:30:00Z"),
} satisfies Partial<LetterContext>;

const cases: readonly { mail: Mail; hasAccount: boolean; page: string | undefined; says: RegExp }[] = [
  { mail: { kind: "registration", ...asking }, hasAccount: false, page: "verify-email", says: /no account is made/ },
  { mail: { kind: "registration", ...asking }, hasAccount: true, page: undefined, says: /nothing was changed/ },
  { mail: { kind: "email_verification", ...asking }, hasAccount: true, page: "verify-email", says: /is your address/ },
  { mail: { kind: "email_change", ...asking }, hasAccount: false, page: "verify-email", says: /wants to make/ },
  { mail: { kind: "email_change", ...asking }, hasAccount: true, page: undefined, says: /nothing was changed/ },
  { mail: { kind: "email_changed", email: "new@example.com" }, hasAccount: false, page: undefined, says: /new@example\.com/ },
  { mail: { kind: "password_reset", ...asking }, hasAccount: true, page: "reset-password", says: /the password stays/ },
  { mail: { kind: "password_changed", accessTokens: 2 }, hasAccount: true, page: undefined, says: /2 personal access tokens/ },
];

for (const { mail, hasAccount, page, says } of cases) {
  test(`${mail.kind} to ${hasAccount ? "somebody" : "nobody"} ${page === undefined ? "tells" : "asks"}`, () => {
    const words = wordsOf({ ...about, mail, hasAccount });
    assert.ok(words);
    assert.match(words.text.replaceAll("\n", " "), says);
    assert.equal(words.link, page === undefined ? undefined : `https://hub.example/auth/${page}#token=${TOKEN}`);
    assert.equal(words.text.split("\n").includes(TOKEN), page !== undefined, "the token in a line of its own");
    assert.equal(words.text.includes("2026-11-22 11:30 UTC"), page !== undefined, "until when");
    for (const line of words.text.split("\n")) assert.ok(line.length <= 72 || !line.includes(" "), line);
    assert.match(words.subject, /^[\x20-\x7e]{5,60}$/);
  });
}

test("notifications are told one by one or together, the gravest first, and those that are too many are counted", () => {
  const one = (title: string, severity: Severity, count: number): Notification => ({
    id: title,
    userId: "u",
    organizationId: "o",
    seq: 1,
    severity,
    title,
    body: "A long line that has to be broken somewhere, since it has more letters than fit.\nAnother line.",
    data: null,
    source: { kind: "alert", id: "a" },
    count,
    correlationId: "c",
    causationId: null,
    createdAt: "2026-11-22T10:00:00.000Z",
    updatedAt: "2026-11-22T10:20:00.000Z",
    readAt: null,
  });
  const mail = { kind: "notifications", userId: "u", organizationId: "o", ids: [], more: 0 } as const;
  const words = (notifications: readonly Notification[], more = 0) =>
    wordsOf({ ...about, mail: { ...mail, more }, hasAccount: true, notifications });
  const single = words([one("Wet", "warning", 3)]);
  assert.equal(single?.subject, "[warning] Wet");
  assert.match(
    single.text,
    /^Hello,\n\nThe Hexahub https:\/\/hub\.example has a notification for you\.\n\n\[warning\] Wet\nA long line .*\n.*fit\.\nAnother line\.\n2026-11-22 10:20 UTC, 3 times\n\n/,
  );
  const digest = words([one("Fire", "critical", 1), one("Wet", "info", 1)], 7);
  assert.equal(digest?.subject, "9 notifications, the gravest critical: Fire");
  assert.match(digest.text, /\[critical\] Fire\n[^]*\[info\] Wet\n[^]*2026-11-22 10:20 UTC\n\nAnd 7 more\.\n/);
  for (const line of digest.text.split("\n")) assert.ok(line.length <= 72, line);
  // Read by everybody, or of somebody who has left.
  assert.equal(words([]), undefined);
});

test("a reset for an address that nobody has says nothing to anybody", () => {
  assert.equal(wordsOf({ ...about, mail: { kind: "password_reset", ...asking }, hasAccount: false }), undefined);
});
