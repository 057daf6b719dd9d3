import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { formatFlipper, parseFlipper } from "../../core/ir-flipper.ts";
import { parseIrFile } from "../../core/ir-file.ts";
import { encodeMessage } from "../../core/ir-protocols.ts";
import type { IrCode } from "../../core/ir-signal.ts";
import { anyMessage, anyName, anyRawCode, rawSignal, refusalOf } from "./ir-codes.ts";

const HEAD = "Filetype: IR signals file\nVersion: 1\n";
const PARSED = "name: Power\ntype: parsed\nprotocol: NECext\naddress: EE 87 00 00\ncommand: 5D A0 00 00\n";
const RAW = "name: Swing\ntype: raw\nfrequency: 38000\nduty_cycle: 0.330000\ndata: 3012 2975 3006 4421 551 1662 550\n";
const power: IrCode = {
  name: "Power",
  signal: encodeMessage({ protocol: "NECext", address: 0x87ee, command: 0xa05d }),
  message: { protocol: "NECext", address: 0x87ee, command: 0xa05d },
};
const swing: IrCode = { name: "Swing", signal: rawSignal([3012, -2975, 3006, -4421, 551, -1662, 550]), message: null };
const read = (text: string) => parseIrFile(Buffer.from(text));

describe("Flipper files", () => {
  test("are read, with comments, without them, with CRLF, a byte order mark and other spaces", () => {
    const text = `${HEAD}# Model: X\n\n#\n${PARSED}#\n${RAW}`;
    for (const same of [
      text,
      text.replaceAll("\n", "\r\n"),
      `\uFEFF${text}`,
      text.replace(/#[^\n]*\n/g, ""),
      `# first\n${text.replaceAll(": ", ":  ")}`,
      text.trimEnd(),
      text.replace("signals", "library"),
      text.replace("duty_cycle: 0.330000\n", ""),
    ])
      assert.deepEqual(read(same), [power, swing], same);
  });

  test("are written as they were read", () => assert.equal(formatFlipper([power, swing]), `${HEAD}#\n${PARSED}#\n${RAW}`));

  test("keep every timing, name, protocol, address and command", () => {
    const anyParsedCode = fc
      .record({ name: anyName, message: anyMessage })
      .filter(({ message }) => message.protocol !== "JVC")
      .map(({ name, message }): IrCode => ({ name, message, signal: encodeMessage(message) }));
    const codes = fc.array(fc.oneof(anyRawCode, anyParsedCode), { minLength: 1, maxLength: 10 });
    fc.assert(fc.property(codes, (all) => assert.deepEqual(parseFlipper(formatFlipper(all)), all)));
  });

  test("have as timings what they cannot name", () => {
    const message = { protocol: "JVC", address: 0xa3, command: 0x17 };
    const signal = encodeMessage(message);
    assert.deepEqual(parseFlipper(formatFlipper([{ name: "Play", message, signal }])), [{ name: "Play", message: null, signal }]);
  });

  const refused: [file: string, line: number, message: RegExp][] = [
    ["", 1, /ends before/],
    ["hello", 1, /key and its value/],
    ["Filetype: IR signals file\n", 1, /Version/],
    ["Filetype: Flipper SubGhz Key File\nVersion: 1\n", 1, /IR signals file/],
    [`${HEAD.replace("1", "2")}${PARSED}`, 2, /Version: 1/],
    [HEAD, 1, /no codes/],
    [`${HEAD}type: raw\n`, 3, /before the name/],
    [`${HEAD}name: A\n`, 3, /no type/],
    [`${HEAD}name: A\ntype: learned\n`, 4, /parsed or raw/],
    [`${HEAD}name:\ntype: raw\n${RAW.split("\n").slice(2).join("\n")}`, 3, /1 to 120 characters/],
    [`${HEAD}name: A\u0007\n${PARSED.split("\n").slice(1).join("\n")}`, 3, /control/],
    [`${HEAD}${PARSED}colour: red\n`, 8, /colour is not known/],
    [`${HEAD}${PARSED}command: 5D A0 00 00\n`, 8, /second time/],
    [`${HEAD}${PARSED}frequency: 38000\n`, 8, /parsed/],
    [`${HEAD}${RAW}protocol: NEC\n`, 8, /raw/],
    [`${HEAD}${PARSED.replace("NECext", "toString")}`, 5, /toString is not known/],
    [`${HEAD}${PARSED.replace("NECext", "NEC")}`, 6, /address EE 87 00 00 is more/],
    [`${HEAD}${PARSED.replace("5D A0", "5D")}`, 7, /four bytes/],
    [`${HEAD}${PARSED.replace("5D A0 00 00", "-5 A0 00 00")}`, 7, /four bytes/],
    [`${HEAD}${PARSED.replace(/command.*\n/, "")}`, 3, /no command/],
    [`${HEAD}#\n${RAW.replace("38000", "-38000")}`, 6, /carrier/],
    [`${HEAD}${RAW.replace("38000", "NaN")}`, 5, /carrier/],
    [`${HEAD}${RAW.replace("38000", "9999")}`, 5, /10000 to 100000/],
    [`${HEAD}${RAW.replace("38000", "1e99")}`, 5, /carrier/],
    [`${HEAD}${RAW.replace("0.33", "1.5")}`, 6, /duty_cycle/],
    [`${HEAD}${RAW.replace("0.330000", "NaN")}`, 6, /duty_cycle/],
    [`${HEAD}${RAW.replace("3006", "0")}`, 7, /timing 3 is 0/],
    [`${HEAD}${RAW.replace("3006", "-3006")}`, 7, /timing 3 .* -3006/],
    [`${HEAD}${RAW.replace("3006", "1000001")}`, 7, /timing 3 is 1000001/],
    [`${HEAD}${RAW.replace("3006", "3e3")}`, 7, /3e3/],
    [`${HEAD}${RAW.replace(/data.*/, "data: 3006")}`, 7, /1 timings/],
    [`${HEAD}${RAW.replace(/data.*/, "data:")}`, 7, /timing 1/],
    [`${HEAD}${RAW.replaceAll("\n", "\r\n").replace("3006", "x")}`, 7, /timing 3/],
  ];
  for (const [file, line, message] of refused)
    test(`are refused: line ${line}, ${message.source}: ${JSON.stringify(file.slice(HEAD.length, HEAD.length + 40))}`, () => {
      const [path, text] = refusalOf(() => read(file));
      assert.equal(path, `/lines/${line}`);
      assert.match(text, message);
    });

  test("of a megabyte are refused where they go wrong, whatever they are made of", { timeout: 20_000 }, () => {
    const size = 1_048_576;
    const one = "x".repeat(size);
    assert.equal(refusalOf(() => read(one))[0], "/lines/1");
    assert.match(
      refusalOf(() => read(`${HEAD}${RAW.replace(/data.*/, `data: ${"1 ".repeat(size / 2)}`)}`)).join(),
      /lines\/7.*524288 timings/,
    );
    assert.equal(refusalOf(() => read(`${HEAD}${"#\n".repeat(100_000)}name: A`))[0], "/lines/100003");
    assert.equal(refusalOf(() => read(`${HEAD}${"\n".repeat(size)}`))[1], "the file has no codes");
    const many = HEAD + "name: A\ntype: parsed\nprotocol: NEC\naddress: 01 00 00 00\ncommand: 02 00 00 00\n".repeat(10_000);
    assert.match(refusalOf(() => read(many)).join(), /lines\/10003.*code 2001/);
    assert.match(refusalOf(() => read(`${HEAD}${one}: 1\n`))[1], /^x{40} is not known/);
    assert.match(refusalOf(() => read(`${HEAD}name: ${one}\n`)).join(), /lines\/3/);
    assert.ok(refusalOf(() => read(`${HEAD}${PARSED.replace("NECext", one)}`))[1].length < 100);
  });

  test("of any bytes are refused, and nothing else happens", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(400), (bytes, at) => {
        const file = Buffer.from(`${HEAD}${PARSED}${RAW}`);
        const damaged = Buffer.concat([file.subarray(0, at), bytes, file.subarray(at + bytes.length)]);
        try {
          assert.ok(parseIrFile(damaged).length > 0);
        } catch {
          assert.match(refusalOf(() => parseIrFile(damaged))[0], /^\/lines\/\d+$/);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
