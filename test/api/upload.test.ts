import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { openUpload } from "../../api/upload.ts";

const PIECES = 40;
const PIECE = Buffer.alloc(65_536, "x");

test("what was read of a body is kept by nobody while the rest of it comes", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const read: WeakRef<Buffer>[] = [];
  const kept = Promise.withResolvers<number>();
  const server = createServer((incoming, response) => {
    void (async () => {
      for await (const piece of openUpload(incoming).read({ maxBytes: Number.MAX_SAFE_INTEGER, signal: new AbortController().signal })) {
        read.push(new WeakRef(piece));
        // A reference that was made or asked in a turn of the loop holds until its end.
        await new Promise((resolve) => setImmediate(resolve));
        if (read.length !== PIECES / 2) continue;
        collect();
        kept.resolve(read.filter((one) => one.deref() !== undefined).length);
      }
      response.end();
    })().catch(kept.reject);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const sending = request({ port: (server.address() as AddressInfo).port, host: "127.0.0.1", method: "POST" });
  for (let count = 0; count < PIECES; count++) sending.write(PIECE);
  sending.end();
  await once(sending, "response");
  server.closeAllConnections();
  server.close();
  // The one that is being looked at, and what the parser has at hand.
  assert.ok((await kept.promise) <= 4);
});
