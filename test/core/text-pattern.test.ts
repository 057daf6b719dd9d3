import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { HubError } from "../../core/errors.ts";
import { parseTextPattern } from "../../core/text-pattern.ts";

const matches = (pattern: string, text: string): boolean => parseTextPattern(pattern, "/pattern").matches(text);

describe("a text pattern", () => {
  test("is about the whole text", () => {
    for (const [pattern, text, expected] of [
      ["abc", "abc", true],
      ["abc", "abcd", false],
      ["abc", "xabc", false],
      ["^abc$", "abc", true],
      ["^a|b$", "b", true],
      ["a|", "", true],
      ["[A-F0-9]{2}:[A-F0-9]{2}", "A0:FF", true],
      ["[A-F0-9]{2}:[A-F0-9]{2}", "A0:FFF", false],
      ["[^a]+", "bcd", true],
      ["[^a]+", "bad", false],
      ["\\d{2,}", "1", false],
      ["\\d{2,}", "12345", true],
      ["\\w*\\.\\w?", "file.x", true],
      ["\\w*\\.\\w?", "file.xy", false],
      ["\\p{L}+", "Größe", true],
      [".{1,3}", "💡💡💡", true],
      [".", "\n", true],
      ["[\\]]", "]", true],
    ] as const)
      assert.equal(matches(pattern, text), expected, `${pattern} on ${JSON.stringify(text)}`);
  });

  test("refuses what takes more than a look at each character, and what it cannot read", () => {
    for (const pattern of [
      "(a)",
      "(a+)+",
      "\\1",
      "(?=a)",
      "a+?",
      "*",
      "a**",
      "[b-a]",
      "[",
      "\\",
      "a{3,2}",
      "a{101}",
      "\\b",
      "a$b",
      "\\p{Nothing}",
      "a{100}b{29}",
    ])
      assert.throws(
        () => parseTextPattern(pattern, "/pattern"),
        (error) => error instanceof HubError && error.code === "validation_error" && error.message.startsWith("/pattern "),
        pattern,
      );
  });

  test("decides as JavaScript does", () => {
    const atom = fc.constantFrom("a", "b", ".", "[ab]", "[^a]", "\\d", "\\w", "1");
    const piece = fc.tuple(atom, fc.constantFrom("", "?", "*", "+", "{2}", "{1,2}", "{0,}")).map((parts) => parts.join(""));
    const branch = fc.array(piece, { maxLength: 4 }).map((parts) => parts.join(""));
    const pattern = fc.array(branch, { minLength: 1, maxLength: 3 }).map((parts) => parts.join("|"));
    const text = fc.string({ unit: fc.constantFrom("a", "b", "1", "-"), maxLength: 8 });
    fc.assert(
      fc.property(pattern, text, (source, value) => {
        assert.equal(matches(source, value), new RegExp(`^(?:${source})$`, "su").test(value));
      }),
      { numRuns: 2_000 },
    );
  });

  test("looks at each character a bounded number of times, however many ways there are to match", () => {
    // Backtracking would try about 10^50 ways.
    const pattern = parseTextPattern(`${"a*".repeat(60)}b`, "/pattern");
    assert.equal(pattern.matches("a".repeat(1_024)), false);
    assert.equal(pattern.matches(`${"a".repeat(1_023)}b`), true);
  });
});
