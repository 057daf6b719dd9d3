import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Context } from "koa";
import type { Log } from "../core/bus.ts";
import { HubError } from "../core/errors.ts";
import type { StreamedBody } from "./route.ts";

/** Of one route and node at a time: each holds some pages in memory while its reader is slow. */
const MOST_AT_ONCE = 10;
/** A reader that takes nothing for so long is gone. */
const STALLED_MS = 60_000;

/** A proxy that gathers what it sends on would keep it from its reader. */
const LIVE = { "x-accel-buffering": "no" };

/** Sends bodies piece by piece, as fast as each reader reads. One that ends early takes its connection with it. */
export function createStreams(log: Log) {
  let running = 0;
  return async (ctx: Context, body: StreamedBody): Promise<void> => {
    if (body.isLive === true) return await sendStream(ctx, body, log).finally(() => body.end());
    if (running >= MOST_AT_ONCE)
      throw new HubError("rate_limited", "too many files are being read at once: ask again later", { details: { retry_after_s: 10 } });
    running++;
    try {
      await sendStream(ctx, body, log);
    } finally {
      running--;
    }
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

async function* chain(first: IteratorResult<string>, rest: AsyncIterator<string>): AsyncGenerator<string> {
  try {
    for (let piece = first; piece.done !== true; piece = await rest.next()) yield piece.value;
  } finally {
    await rest.return?.();
  }
}

/** The reader went away. */
const hasGone = (error: unknown): boolean => error instanceof Error && "code" in error && error.code === "ERR_STREAM_PREMATURE_CLOSE";
