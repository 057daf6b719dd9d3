import { Worker } from "node:worker_threads";
import { HubError } from "../core/errors.ts";
import { costOf, nobodysHash, type PasswordReply, type PasswordRequest } from "./password-cost.ts";
import type { Db } from "./open.ts";

/** bcrypt reads no further than this, so a longer password would be silently cut. */
const MAX_BYTES = 72;
const MIN_CHARACTERS = 8;
const MAX_WAITING = 32;
const IDLE_MS = 20_000;

/** Makes passwords' hashes and checks them, in a thread of its own. */
export interface Passwords extends AsyncDisposable {
  /** Throws `validation_error` below 8 characters and above 72 bytes, `rate_limited` when too many wait. */
  hash(plain: string): Promise<string>;
  verify(plain: string, hash: string): Promise<boolean>;
  /** Takes as long as `verify`, so that an unknown user is answered no sooner than a known one. */
  spendTime(): Promise<void>;
}

/** Hashes of this cost (HEXA_PASSWORD_COST). Each check takes the time of the dearest password that the database holds. */
export async function openPasswords(db: Db, cost: number): Promise<Passwords> {
  const row: { cost: string | null } | undefined = await db("users")
    .where("password_hash", "like", "$2b$__$%")
    .first({ cost: db.raw("max(substr(password_hash, 5, 2))") });
  return createPasswords(cost, Math.max(cost, Number(row?.cost ?? 0)));
}

/** `dearest` is the cost whose time each check takes; never less than that of a password which is shown. */
export function createPasswords(cost: number, dearest = cost): Passwords {
  const thread = new PasswordThread();
  return {
    async hash(plain) {
      if (Array.from(plain).length < MIN_CHARACTERS)
        throw new HubError("validation_error", `a password has at least ${MIN_CHARACTERS} characters`);
      if (Buffer.byteLength(plain) > MAX_BYTES) throw new HubError("validation_error", `a password has at most ${MAX_BYTES} bytes`);
      const reply = await thread.ask({ plain, cost });
      if (!("hash" in reply)) throw new Error("the password thread answered something else");
      return reply.hash;
    },
    async verify(plain, hash) {
      // Another node may have made it after this one started, at a higher cost.
      dearest = Math.max(dearest, costOf(hash));
      const fits = Buffer.byteLength(plain) <= MAX_BYTES;
      const reply = await thread.ask(fits ? { plain, hash, cost: dearest } : { plain: "", hash: nobodysHash(dearest), cost: dearest });
      return fits && "matches" in reply && reply.matches;
    },
    async spendTime() {
      await thread.ask({ plain: "", hash: nobodysHash(dearest), cost: dearest });
    },
    [Symbol.asyncDispose]: () => thread[Symbol.asyncDispose](),
  };
}

/** Starts its worker when it is asked, ends it when nobody has asked for a while, and never keeps the process alive. */
class PasswordThread implements AsyncDisposable {
  readonly #waiting = new Map<number, PromiseWithResolvers<PasswordReply>>();
  #worker: Worker | undefined;
  #idle: NodeJS.Timeout | undefined;
  #lastId = 0;
  #isOver = false;

  async ask(request: Omit<PasswordRequest, "id">): Promise<PasswordReply> {
    if (this.#isOver) throw unavailable();
    if (this.#waiting.size >= MAX_WAITING) throw new HubError("rate_limited", "too many passwords are being checked at once");
    clearTimeout(this.#idle);
    const id = ++this.#lastId;
    const answer = Promise.withResolvers<PasswordReply>();
    this.#waiting.set(id, answer);
    const worker = (this.#worker ??= this.#start());
    worker.ref();
    worker.postMessage({ id, ...request } satisfies PasswordRequest);
    return await answer.promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    clearTimeout(this.#idle);
    await this.#worker?.terminate();
  }

  #start(): Worker {
    const worker = new Worker(new URL("./password-worker.ts", import.meta.url), { resourceLimits: { maxYoungGenerationSizeMb: 8 } });
    worker.on("message", (reply: PasswordReply) => {
      this.#waiting.get(reply.id)?.resolve(reply);
      this.#waiting.delete(reply.id);
      if (this.#waiting.size === 0) this.#rest(worker);
    });
    worker.on("error", (error) => this.#fail(worker, error));
    worker.on("exit", () => this.#fail(worker, new Error("the password thread has ended")));
    return worker;
  }

  #rest(worker: Worker): void {
    worker.unref();
    this.#idle = setTimeout(() => {
      this.#worker = undefined;
      void worker.terminate();
    }, IDLE_MS).unref();
  }

  #fail(worker: Worker, cause: Error): void {
    // A worker that was retired while idle has nobody waiting for it.
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    for (const answer of this.#waiting.values()) answer.reject(unavailable(cause));
    this.#waiting.clear();
  }
}

const unavailable = (cause?: Error): HubError => new HubError("unavailable", "passwords cannot be checked", { cause });
