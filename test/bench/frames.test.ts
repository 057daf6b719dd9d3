import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { acknowledging } from "./acknowledge.ts";
import { createFrameCounter, createFrameReader } from "./frames.ts";
import { frameBytes, idOffset, publishFrame, topicOf } from "./packets.ts";
import { createUnwrapper, frameHeader, maskedFrame } from "./websocket-frames.ts";

const cuts = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 60 });

/** The same bytes in reads of these sizes, over and over, each at another place of a buffer that is used again. */
function inReads(bytes: Buffer, sizes: readonly number[], receive: (buffer: Buffer, start: number, end: number) => void): void {
  const shared = Buffer.alloc(64);
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const length = Math.min(sizes[turn % sizes.length] ?? 1, bytes.length - at);
    const start = turn % 20;
    shared.fill(0xff);
    bytes.copy(shared, start, at, at + length);
    receive(shared, start, start + length);
    at += length;
  }
}

describe("frames of one size", () => {
  test("are found and counted however the bytes are cut", () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 30 }), fc.integer({ min: 1, max: 20 }), cuts, (size, count, sizes) => {
        const bytes = Buffer.concat(Array.from({ length: count }, (_, index) => Buffer.from([0x30, index, ...Buffer.alloc(size - 2, 7)])));
        const seen: number[] = [];
        let counted = 0;
        inReads(
          bytes,
          sizes,
          createFrameReader(size, (buffer, at) => {
            assert.equal(buffer[at], 0x30);
            seen.push(buffer[at + 1] ?? -1);
          }),
        );
        inReads(
          bytes,
          sizes,
          createFrameCounter(size, 0x30, (frames) => (counted += frames)),
        );
        assert.deepEqual(
          seen,
          Array.from({ length: count }, (_, index) => index),
        );
        assert.equal(counted, count);
      }),
    );
  });

  test("of another kind are an error", () => {
    const count = createFrameCounter(4, 0x30, () => undefined);
    assert.throws(() => count(Buffer.from([0x32, 0, 0, 0]), 0, 4), /another kind came: 0x32/);
  });

  test("of QoS 1 are acknowledged with their own ids, once each", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 65_535 }), { minLength: 1, maxLength: 20 }), cuts, (ids, sizes) => {
        const frame = publishFrame("a/b", "xyz", { qos: 1, version: 4 });
        const idAt = idOffset(frame);
        const bytes = Buffer.concat(
          ids.map((id) => {
            const copy = Buffer.from(frame);
            copy.writeUInt16BE(id, idAt);
            return copy;
          }),
        );
        const written: Buffer[] = [];
        let arrived = 0;
        const socket = { write: (chunk: Buffer) => written.push(Buffer.from(chunk)) };
        const wire = { socket, wrap: (packet: Buffer) => packet, receive: () => undefined } as never;
        inReads(bytes, sizes, acknowledging(wire, { size: frame.length, idAt }, { onRead: (count) => (arrived += count) }));
        const acks = Buffer.concat(written);
        assert.deepEqual(
          ids.map((_, index) => acks.readUInt32BE(index * 4)),
          ids.map((id) => 0x4002_0000 + id),
        );
        assert.equal(arrived, ids.length);
      }),
    );
  });
});

test("a PUBLISH tells its size, its topic and where its id is", () => {
  for (const version of [4, 5] as const)
    for (const payload of ["", "x".repeat(100), "x".repeat(200_000)]) {
      const frame = publishFrame("one/topic", payload, { qos: 1, version });
      assert.equal(frameBytes(frame), frame.length);
      assert.equal(topicOf(frame), "one/topic");
      assert.equal(frame.readUInt16BE(idOffset(frame)), 1);
    }
});

test("the payload of WebSocket frames comes out however they are masked and cut, with pings between them", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.uint8Array({ maxLength: 300 }), fc.boolean()), { maxLength: 10 }), cuts, (messages, sizes) => {
      const payloads = messages.map(([bytes]) => Buffer.from(bytes));
      const frames = messages.map(([, isMasked], index) => {
        const payload = payloads[index] ?? Buffer.alloc(0);
        return isMasked ? maskedFrame(payload) : Buffer.concat([frameHeader(payload.length), payload]);
      });
      const seen: Buffer[] = [];
      inReads(
        Buffer.concat(frames.flatMap((frame) => [frame, Buffer.from([0x89, 0])])),
        sizes,
        createUnwrapper((buffer, start, end) => void seen.push(Buffer.from(buffer.subarray(start, end)))),
      );
      assert.deepEqual(Buffer.concat(seen), Buffer.concat(payloads));
    }),
  );
  const unwrap = createUnwrapper(() => undefined);
  assert.throws(() => unwrap(Buffer.from([0x88, 0]), 0, 2), /kind 8/);
});
