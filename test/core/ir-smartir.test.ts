import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { parseBroadlink } from "../../core/ir-broadlink.ts";
import { parseIrFile } from "../../core/ir-file.ts";
import { parseSmartIr } from "../../core/ir-smartir.ts";
import { refusalOf } from "./ir-codes.ts";

/** 296, 148, 18 and 3333 units of 30.45 µs, and padding. */
const PACKET = [0x26, 0x01, 0x08, 0x00, 0x00, 0x01, 0x28, 0x94, 0x12, 0x00, 0x0d, 0x05, 0, 0, 0, 0];
const TIMINGS = [9014, -4507, 548, -101_502];
const BASE64 = Buffer.from(PACKET).toString("base64");

const file = (commands: unknown, commandsEncoding = "Base64"): string =>
  JSON.stringify(
    { manufacturer: "Any", supportedModels: ["One"], supportedController: "Broadlink", commandsEncoding, commands },
    undefined,
    2,
  );
const names = (text: string) => parseSmartIr(text).map(({ name }) => name);

describe("SmartIR files", () => {
  test("have their codes by mode, fan and temperature, in their own order", () => {
    const commands = {
      off: BASE64,
      cool: { auto: { "22": BASE64, "16": BASE64 }, "-": BASE64 },
      sources: { "Channel 1": [BASE64, BASE64] },
    };
    const text = file(commands).replace('"22"', '"x"').replace('"16"', '"9"').replace('"x"', '"22"');
    assert.deepEqual(names(text), ["off", "cool/auto/9", "cool/auto/22", "cool/-", "sources/Channel 1/1", "sources/Channel 1/2"]);
    assert.deepEqual(names(`\uFEFF${text.replaceAll("\n", "\r\n")}`), names(text));
    assert.deepEqual(names(text.replaceAll(/\s+(?=")/g, "")), names(text));
  });

  test("are read as Broadlink's Base64 and hexadecimal", () => {
    const signal = { carrierHz: 38_000, timings: TIMINGS, repeatFrom: 0, repeat: 1 };
    assert.deepEqual(parseSmartIr(file({ off: BASE64 })), [{ name: "off", signal, message: null }]);
    assert.deepEqual(parseSmartIr(file({ off: `${BASE64}===` }))[0]?.signal, signal);
    assert.deepEqual(parseSmartIr(file({ off: Buffer.from(PACKET).toString("hex") }, "Hex"))[0]?.signal, signal);
  });

  test("are read as Pronto and as lengths, with signs or without", () => {
    const [pronto] = parseSmartIr(file({ on: "6000 0073 0000 0001 0000 000C" }, "Pronto"));
    assert.deepEqual(pronto?.message, { protocol: "RC6", address: 0, command: 12 });
    for (const raw of ["[900, -450, 50]", "900 -450 50", "900,450,50", [900, -450, 50], [900, 450, 50]])
      assert.deepEqual(parseSmartIr(file({ on: raw }, "Raw"))[0]?.signal.timings, [900, -450, 50], JSON.stringify(raw));
  });

  test("leave out what is empty", () => assert.deepEqual(names(file({ on: "", off: BASE64, "-": null })), ["off"]));

  const refused: [text: string, line: number, message: RegExp][] = [
    ["[]", 1, /JSON object/],
    ["{}", 1, /no commandsEncoding/],
    ['{\n"commandsEncoding": "Base64"}', 1, /no commands/],
    ['{\n"commandsEncoding": "toString"\n}', 2, /one of Base64/],
    ['{"commandsEncoding": "Base64",\n\n"commands": [1]}', 3, /object/],
    [file({}), 1, /no codes/],
    [file({ off: BASE64, cool: { low: "???" } }), 11, /no Base64/],
    [file({ off: 7 }), 9, /a text/],
    [file({ off: Buffer.from([0xb2, ...PACKET.slice(1)]).toString("base64") }), 9, /begins with 178/],
    [file({ off: Buffer.from(PACKET.slice(0, 9)).toString("base64") }), 9, /announces 8 bytes and has 5/],
    [file({ off: Buffer.from([0x26]).toString("base64") }), 9, /too short/],
    [file({ off: Buffer.from([0x26, 0, 3, 0, 0, 0, 0]).toString("base64") }), 9, /1 timings/],
    [file({ off: "12 g4" }, "Hex"), 9, /hexadecimal/],
    [file({ off: "0000 006D 0001 0000 0155" }, "Pronto"), 9, /words/],
    [file({ off: "[900, NaN]" }, "Raw"), 9, /list of lengths/],
    [file({ off: "nE2mkwlk0mIA" }, "Raw"), 9, /list of lengths/],
    [file({ off: [900, 450, -50] }, "Raw"), 9, /timing 2/],
    [file({ off: [900.5, 450] }, "Raw"), 9, /timing 1/],
    [file({ off: [9e99, 450] }, "Raw"), 9, /timing 1/],
    [file({ ["x".repeat(200)]: BASE64 }), 9, /1 to 120/],
    [file({ off: BASE64 }).replace('"Base64",\n', '"Base64"\n'), 8, /not valid JSON/],
    [file({ off: BASE64 }).slice(0, -4), 10, /ends in the middle/],
    [`${file({ off: BASE64 })}\n{}`, 12, /follows the end/],
    ['{"a":\n1, "a":\n2}', 2, /second time/],
    ["{\n\n'a': 1}", 3, /not valid JSON/],
    ['{"a": NaN}', 1, /not valid JSON/],
    ['{"a":\n"\u0001"}', 2, /not valid JSON/],
    ["[".repeat(1_000_000), 1, /too deeply/],
    [`{"a":${" ".repeat(1_000_000)}`, 1, /ends in the middle/],
    [`{"a":${"\n".repeat(100_000)}x}`, 100_001, /not valid JSON/],
    [`{"a":"${"x".repeat(1_000_000)}`, 1, /not valid JSON/],
    [file(Object.fromEntries(Array.from({ length: 2_001 }, (_, index) => [`c${index}`, BASE64]))), 2_009, /code 2001/],
  ];
  for (const [text, line, message] of refused)
    test(`are refused: line ${line}, ${message.source}`, { timeout: 10_000 }, () => {
      const [path, why] = refusalOf(() => parseIrFile(Buffer.from(text)));
      assert.equal(path, `/lines/${line}`, why);
      assert.match(why, message);
    });

  test("whatever JSON they are, are read or refused with a line", () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 6 }), fc.nat(200), fc.string({ maxLength: 3 }), (json, at, damage) => {
        const text = `{"commandsEncoding": "Raw",\n"commands": ${json.slice(0, at)}${damage}${json.slice(at)}}`;
        try {
          assert.ok(parseIrFile(Buffer.from(text)).length > 0);
        } catch {
          assert.match(refusalOf(() => parseIrFile(Buffer.from(text)))[0], /^\/lines\/\d+$/);
        }
      }),
    );
  });

  test("have lengths within half a unit of what was packed", () => {
    const lengths = fc.array(fc.integer({ min: 1, max: 32_000 }), { minLength: 2, maxLength: 100 });
    fc.assert(
      fc.property(lengths, (units) => {
        const bytes = units.flatMap((unit) => (unit < 256 ? [unit] : [0, unit >> 8, unit & 0xff]));
        const { timings } = parseBroadlink(Uint8Array.from([0x26, 0, bytes.length & 0xff, bytes.length >> 8, ...bytes]));
        assert.deepEqual(
          timings.map((timing) => Math.round((Math.abs(timing) * 269) / 8_192)),
          units,
        );
      }),
    );
  });
});
