import { once } from "node:events";
import { connect, createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";

export interface Slowness {
  /** Each byte arrives this much later; the throughput stays. */
  delayMs?: number;
  bytesPerSecond?: number;
  /** Every second piece of what one side sends stands still for so long, and what follows waits behind it. */
  stallMs?: number;
}

/** A TCP proxy on 127.0.0.1 whose line can be made bad. Every fault acts on open and on new connections unless said otherwise. */
export interface FaultProxy extends AsyncDisposable {
  readonly port: number;
  /** Open connections, counted on the client's side. */
  readonly connections: number;
  /** Replaces the slowness in both directions; `{}` ends it. */
  slow(slowness: Slowness): void;
  /** No byte moves any more and nobody is told; after `thaw` all of them arrive. */
  freeze(): void;
  thaw(): void;
  /** Resets the open connections on both sides. */
  cut(): void;
  /** Every connection is torn off when this many more bytes have come from the server, be it in the middle of an answer; until `mend`. */
  tear(afterBytes: number): void;
  mend(): void;
  /** The peer named is gone from the open connections; the other one still believes in them, and what it sends is lost. */
  halfOpen(gone: "client" | "server"): void;
  /** New connections are reset at once until `accept`. */
  refuse(): void;
  accept(): void;
}

export async function startFaultProxy(target: { port: number; host?: string }): Promise<FaultProxy> {
  const line: Line = { slowness: {}, frozen: undefined, refusing: false, tearAfterBytes: undefined };
  const pairs = new Set<Pair>();
  // Half-open on the socket level, so that the end of one direction is passed on as just that.
  const server = createServer({ allowHalfOpen: true }, (client) => {
    if (line.refusing) {
      client.resetAndDestroy();
      return;
    }
    const upstream = connect({ port: target.port, host: target.host ?? "127.0.0.1", allowHalfOpen: true, noDelay: true });
    client.setNoDelay(true);
    const pair: Pair = { client, server: upstream, parted: false, bytesLeft: undefined };
    pairs.add(pair);
    client.once("close", () => pairs.delete(pair));
    couple(pair, client, upstream);
    couple(pair, upstream, client);
    void pump(client, upstream, { line, pair });
    void pump(upstream, client, { line, pair });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const thaw = () => {
    line.frozen?.resolve();
    line.frozen = undefined;
  };
  const cut = () => {
    for (const { client, server: upstream } of pairs) {
      client.resetAndDestroy();
      upstream.resetAndDestroy();
    }
  };
  const tear = (afterBytes: number | undefined) => {
    line.tearAfterBytes = afterBytes;
    for (const pair of pairs) pair.bytesLeft = undefined;
  };
  return {
    port: (server.address() as AddressInfo).port,
    get connections() {
      return pairs.size;
    },
    slow: (slowness) => {
      line.slowness = slowness;
    },
    freeze: () => {
      line.frozen ??= Promise.withResolvers<void>();
    },
    thaw,
    cut,
    tear,
    mend: () => tear(undefined),
    halfOpen: (gone) => {
      for (const pair of pairs) {
        pair.parted = true;
        pair[gone].destroy();
      }
    },
    refuse: () => {
      line.refusing = true;
    },
    accept: () => {
      line.refusing = false;
    },
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, "close");
      server.close();
      // Not by a reset: Node never closes a socket that is reset while its end is on its way, and the process would not end.
      for (const { client, server: upstream } of pairs) {
        client.destroy();
        upstream.destroy();
      }
      thaw();
      await closed;
    },
  };
}

interface Line {
  slowness: Slowness;
  frozen: PromiseWithResolvers<void> | undefined;
  refusing: boolean;
  tearAfterBytes: number | undefined;
}

interface Pair {
  client: Socket;
  server: Socket;
  /** One side was taken away on purpose: its end is not passed on, and bytes to it are swallowed. */
  parted: boolean;
  /** What may still come from the server; undefined until the next byte of it. */
  bytesLeft: number | undefined;
}

/** An end that is not an orderly one is passed on as a reset. */
function couple(pair: Pair, from: Socket, to: Socket): void {
  from.on("error", () => {
    if (!pair.parted) to.resetAndDestroy();
  });
  from.once("close", () => {
    // An orderly end arrives through the pump, after the bytes before it.
    if (!pair.parted && !from.readableEnded) to.destroy();
  });
}

async function pump(from: Socket, to: Socket, { line, pair }: { line: Line; pair: Pair }): Promise<void> {
  let last = Promise.resolve();
  let waitingBytes = 0;
  let pieces = 0;
  try {
    for await (const chunk of from as AsyncIterable<Buffer>) {
      const dueAt = performance.now() + (line.slowness.delayMs ?? 0);
      waitingBytes += chunk.length;
      pieces += 1;
      const stalls = pieces % 2 === 0;
      last = last.then(async () => {
        await line.frozen?.promise;
        await pause(Math.max(dueAt - performance.now(), transferMs(chunk, line.slowness)));
        if (stalls) await pause(line.slowness.stallMs ?? 0);
        await line.frozen?.promise;
        if (from === pair.server && isTorn(chunk, line, pair)) return;
        if (!pair.parted && to.writable && !to.write(chunk)) await drained(to);
        waitingBytes -= chunk.length;
      });
      if (waitingBytes > MAX_WAITING_BYTES) await last;
    }
    await last;
    await line.frozen?.promise;
    if (!pair.parted) to.end();
  } catch {
    // A reset of either side ends the pump; `couple` has told the other one.
  }
}

/** Lets through what may still come from the server, and ends the connection behind it. */
function isTorn(chunk: Buffer, { tearAfterBytes }: Line, pair: Pair): boolean {
  if (tearAfterBytes === undefined || pair.parted) return false;
  pair.bytesLeft = (pair.bytesLeft ?? tearAfterBytes) - chunk.length;
  if (pair.bytesLeft >= 0) return false;
  const { client, server } = pair;
  server.destroy();
  if (client.writable) client.write(chunk.subarray(0, chunk.length + pair.bytesLeft), () => client.destroy());
  return true;
}

/** What the line itself holds, like the buffers of a real one; beyond that the sender feels the back-pressure. */
const MAX_WAITING_BYTES = 256 * 1024;

/** Comes back also when the socket ends instead. */
function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      socket.off("drain", done).off("close", done);
      resolve();
    };
    socket.on("drain", done).on("close", done);
  });
}

function transferMs(chunk: Buffer, { bytesPerSecond }: Slowness): number {
  return bytesPerSecond === undefined ? 0 : (chunk.length / bytesPerSecond) * 1000;
}

function pause(ms: number): Promise<void> | undefined {
  if (ms <= 0) return undefined;
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
