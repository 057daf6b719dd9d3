import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Context } from "koa";
import type { Log } from "../core/bus.ts";
import { HubError } from "../core/errors.ts";
import type { Principal } from "../core/principal.ts";
import type { StreamedBody } from "./route.ts";
import { createPlaces } from "./stream-places.ts";

export interface StreamsContext {
  readonly log: Log;
  /** How often it is looked what a reader has taken. */
  readonly tickMs?: number;
}

const TICK_MS = 10_000;
/** A reader that takes less in so many ticks, while more waits for it, is gone, or holds a place for nothing. */
const SLOW_TICKS = 6;
const SLOW_BYTES = 65_536;
/** Neither side of the connection does anything for so long. */
const STALLED_MS = 60_000;
/** What is handed to a connection at once: what a reader takes is seen in such steps. */
const STEP_BYTES = 16_384;

/** A proxy that gathers what it sends on would keep it from its reader. */
const LIVE = { "x-accel-buffering": "no" };

/** Sends bodies piece by piece, as fast as each reader reads. One that ends early takes its connection with it. */
export function createStreams({ log, tickMs = TICK_MS }: StreamsContext) {
  const takePlace = createPlaces();
  return async (ctx: Context, body: StreamedBody, reader: Principal | undefined): Promise<void> => {
    if (body.isLive === true) return await sendStream(ctx, body, log).finally(() => body.end());
    using place = takePlace(reader);
    if (!place)
      throw new HubError("rate_limited", "too many files are being read at once: ask again later", { details: { retry_after_s: 10 } });
    using _watch = watchReader(ctx, tickMs);
    await sendStream(ctx, body, log);
  };
}

/** Ends the connection of a reader that is too slow. */
function watchReader({ req, res }: Context, tickMs: number): Disposable {
  const isTooSlow = createSlowness();
  const timer = setInterval(() => {
    const taken = req.socket.bytesWritten - req.socket.writableLength;
    if (isTooSlow({ taken, isWaiting: res.writableLength > 0 })) req.socket.destroy();
  }, tickMs).unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

/** Asked at each tick: how many bytes the reader has taken until then, and whether more waits for it. */
export function createSlowness(): (seen: { readonly taken: number; readonly isWaiting: boolean }) => boolean {
  const before: number[] = [];
  return ({ taken, isWaiting }) => {
    // It is the source that is slow.
    if (!isWaiting) before.length = 0;
    else before.push(taken);
    return before.length > SLOW_TICKS && taken - (before.shift() as number) < SLOW_BYTES;
  };
}

async function sendStream(ctx: Context, body: StreamedBody, log: Log): Promise<void> {
  const pieces = body.read()[Symbol.asyncIterator]();
  // What fails before the first piece is an answer like every other.
  const first = await pieces.next();
  ctx.status = 200;
  ctx.set({
    "content-type": body.type,
    ...(body.isLive === true ? LIVE : { "content-disposition": `attachment; filename="${body.fileName}"` }),
  });
  if (ctx.method === "HEAD") {
    await pieces.return?.();
    return void ctx.res.end();
  }
  const { res } = ctx;
  // Koa would leave the connection open when the source fails, and the file would look whole.
  ctx.respond = false;
  res.setTimeout(body.isLive === true ? body.stalledMs : STALLED_MS, () => res.destroy());
  // What waits for something to tell would not see it before there is.
  if (body.isLive === true) res.once("close", body.end);
  try {
    await pipeline(Readable.from(chain(first, pieces), { highWaterMark: 1 }), res);
  } catch (error) {
    res.destroy();
    log[hasGone(error) ? "debug" : "error"]({ err: error }, "an answer could not be sent to its end");
  }
}

async function* chain(first: IteratorResult<string | Uint8Array>, rest: AsyncIterator<string | Uint8Array>): AsyncGenerator<Buffer> {
  try {
    for (let piece = first; piece.done !== true; piece = await rest.next()) {
      const { value } = piece;
      const bytes = typeof value === "string" ? Buffer.from(value) : Buffer.from(value.buffer, value.byteOffset, value.byteLength);
      for (let at = 0; at < bytes.length; at += STEP_BYTES) yield bytes.subarray(at, at + STEP_BYTES);
    }
  } finally {
    await rest.return?.();
  }
}

/** The reader went away. */
const hasGone = (error: unknown): boolean => error instanceof Error && "code" in error && error.code === "ERR_STREAM_PREMATURE_CLOSE";
