import assert from "node:assert/strict";
import { once } from "node:events";
import { get, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import Koa from "koa";
import { createSlowness, createStreams } from "../../api/stream-answer.ts";
import { HubError } from "../../core/errors.ts";
import type { Principal } from "../../core/principal.ts";
import { until } from "../support/wait.ts";

const KIB = 1_024;
/** More than both sides of a connection hold. */
const LARGE = 64 * KIB * KIB;

const personOf = (id: string, organizationId: string): Principal => ({
  kind: "user",
  id,
  email: `${id}@example.com`,
  role: "user",
  organizationId,
  credentialId: id,
});

/** A server that gives whoever asks, as `/<organisation>/<person>`, a large file. */
async function startFiles({ tickMs }: { tickMs?: number } = {}) {
  const nothing = (): void => undefined;
  const send = createStreams({ log: { debug: nothing, info: nothing, warn: nothing, error: nothing }, ...(tickMs ? { tickMs } : {}) });
  const sending = new Set<string>();
  const app = new Koa();
  app.use(async (ctx) => {
    const [, organization = "", person = ""] = ctx.path.split("/");
    const piece = "x".repeat(100 * KIB);
    async function* read() {
      for (let sent = 0; sent < LARGE; sent += piece.length) yield piece;
    }
    const name = ctx.path;
    try {
      sending.add(name);
      await send(ctx, { type: "text/plain", fileName: "large.txt", read }, personOf(person, organization));
    } catch (error) {
      if (!(error instanceof HubError)) throw error;
      ctx.status = error.status;
    } finally {
      sending.delete(name);
    }
  });
  const server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    sending,
    async ask(path: string): Promise<IncomingMessage> {
      const request = get({ port, host: "127.0.0.1", path, agent: false });
      request.on("error", nothing);
      const [response] = (await once(request, "response")) as [IncomingMessage];
      response.on("error", nothing);
      return response;
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

test("two files of one person, four of an organisation and ten of all are sent at a time", async () => {
  await using files = await startFiles();
  const open: IncomingMessage[] = [];
  const ask = async (path: string): Promise<number | undefined> => {
    const response = await files.ask(path);
    if (response.statusCode === 200) open.push(response);
    else response.resume();
    return response.statusCode;
  };
  for (const [path, statuses] of [
    ["/a/ann", [200, 200, 429]],
    ["/a/bob", [200, 200, 429]],
    ["/a/cyd", [429]],
    ["/b/dan", [200, 200, 429]],
    ["/b/eve", [200, 200]],
    ["/c/fay", [200, 200]],
    ["/d/gus", [429]],
  ] as const)
    for (const [index, status] of statuses.entries()) assert.equal(await ask(path), status, `${path} ${index}`);
  open[0]?.destroy();
  await until(async () => (await ask("/d/gus")) === 200, { what: "a free place" });
  for (const response of open) response.destroy();
  await until(async () => (await ask("/a/ann")) === 200, { what: "the place of one who had two" });
});

test("a reader that takes nothing, or next to nothing, is ended, and one that reads gets all of it", async () => {
  await using files = await startFiles({ tickMs: 100 });
  const [frozen, trickling, diligent] = await Promise.all(["/a/frozen", "/b/trickling", "/c/diligent"].map((path) => files.ask(path)));
  assert.ok(frozen && trickling && diligent);
  const trickle = setInterval(() => trickling.read(10), 5).unref();
  let length = 0;
  for await (const chunk of diligent) length += (chunk as Buffer).length;
  assert.ok(length >= LARGE);
  await until(() => files.sending.size === 0, { what: "the end of both" });
  clearInterval(trickle);
});

for (const [what, seen, isTooSlow] of [
  ["that waits for a source", Array.from({ length: 20 }, () => [0, false]), false],
  ["that takes nothing for six ticks", Array.from({ length: 7 }, () => [0, true]), true],
  ["that takes nothing for five ticks", Array.from({ length: 6 }, () => [0, true]), false],
  ["that takes 10 KiB a tick", Array.from({ length: 7 }, (_, tick) => [tick * 10 * KIB, true]), true],
  ["that takes 11 KiB a tick", Array.from({ length: 20 }, (_, tick) => [tick * 11 * KIB, true]), false],
  ["that was fast and is slow", Array.from({ length: 12 }, (_, tick) => [Math.min(tick, 5) * KIB * KIB + tick, true]), true],
  ["whose source is slow now and then", Array.from({ length: 30 }, (_, tick) => [tick * KIB, tick % 6 !== 0]), false],
] as const)
  test(`a reader ${what} is ${isTooSlow ? "too slow" : "let be"}`, () => {
    const slowness = createSlowness();
    const looks = seen.map(([taken, isWaiting]) => slowness({ taken: taken as number, isWaiting: isWaiting as boolean }));
    assert.deepEqual(
      looks.slice(0, -1),
      looks.slice(0, -1).map(() => false),
    );
    assert.equal(looks.at(-1), isTooSlow);
  });
