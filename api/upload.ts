import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { HubError } from "../core/errors.ts";
import { tooLarge } from "./body.ts";
import { createSlowness } from "./stream-answer.ts";

/** A body that is read as it comes, however large and however long it takes. */
export interface Upload {
  readonly headers: IncomingHttpHeaders;
  /**
   * Its pieces, once; the sender waits while nobody asks for the next one. Throws `payload_too_large` above the limit, `bad_json` for a body
   * that ends early or comes next to not at all, and `unavailable` when the signal aborts.
   */
  read(limits: { readonly maxBytes: number; readonly signal: AbortSignal }): AsyncGenerator<Buffer>;
}

/** How often it is looked whether the sender sends. */
const TICK_MS = 10_000;
/** What is on its way when nobody reads on is thrown away for so long, so that the answer arrives. */
const LEFTOVER_MS = 10_000;

const LONG = Symbol("its request may take long");
type MarkedSocket = Socket & { [LONG]?: boolean };

/** Whether what comes over the socket has a limit of its own, beside that of each request. */
export const mayTakeLong = (socket: Socket): boolean => (socket as MarkedSocket)[LONG] === true;

export const openUpload = (request: IncomingMessage): Upload => ({
  headers: request.headers,
  read: (limits) => piecesOf(request, limits),
});

async function* piecesOf(
  request: IncomingMessage,
  { maxBytes, signal }: Parameters<Upload["read"]>[0],
): AsyncGenerator<Buffer, void, undefined> {
  if (Number(request.headers["content-length"] ?? 0) > maxBytes) {
    throwAway(request);
    throw tooLarge(maxBytes);
  }
  using watch = watchSender(request);
  const pieces = request.iterator({ destroyOnReturn: false }) as AsyncIterator<Buffer>;
  try {
    for (;;) {
      const next = await unlessStopped(watch.during(pieces.next()), signal);
      if (next.done) return;
      if ((watch.taken += next.value.length) > maxBytes) throw tooLarge(maxBytes);
      yield next.value;
    }
  } finally {
    throwAway(request);
  }
}

/** Not by `Promise.race`: a promise that outlives the file would keep every piece of it. */
async function unlessStopped<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const stop = (): void => reject(new HubError("unavailable", "the hub stops"));
  signal.addEventListener("abort", stop, { once: true });
  work.then(resolve, reject);
  if (signal.aborted) stop();
  try {
    return await promise;
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

/** Ends the connection of a sender that is too slow. */
function watchSender(request: IncomingMessage) {
  const isTooSlow = createSlowness();
  const socket: MarkedSocket = request.socket;
  socket[LONG] = true;
  let isWaiting = false;
  const watch = {
    taken: 0,
    async during<T>(piece: Promise<T>): Promise<T> {
      isWaiting = true;
      try {
        return await piece;
      } catch (cause) {
        throw new HubError("bad_json", "the body ended early", { cause });
      } finally {
        isWaiting = false;
      }
    },
    [Symbol.dispose]() {
      clearInterval(timer);
      socket[LONG] = false;
    },
  };
  const timer = setInterval(() => {
    if (isTooSlow({ taken: watch.taken, isWaiting })) request.destroy(new Error("the sender is too slow"));
  }, TICK_MS).unref();
  return watch;
}

function throwAway(request: IncomingMessage): void {
  if (request.complete) return;
  request.resume();
  const timer = setTimeout(() => request.destroy(), LEFTOVER_MS).unref();
  request.once("close", () => clearTimeout(timer));
}
