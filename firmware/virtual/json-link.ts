import { EventEmitter } from "node:events";
import type { DownError } from "../../core/payloads.ts";
import type { LinkOptions } from "./link.ts";
import type { Link, LinkEvents } from "./transport.ts";

/** What the hub says to a device of a gateway. */
export type JsonMessage = Readonly<Record<string, unknown>> & { readonly type: string };

/** What a gateway refused; MQTT says it on `down/error`. */
export class Refused extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

const RETRY_MS = 1_000;
const TYPES: Readonly<Record<string, string>> = { "task.exec": "task", "register.ok": "registered" };

/** A link to one of the hub's gateways that looks like one of MQTT: what the device publishes and hears is the same. */
export abstract class JsonLink extends EventEmitter<LinkEvents> implements Link {
  readonly options: LinkOptions;
  readonly stream = { destroy: (): void => this.cut() };
  handleMessage: Link["handleMessage"] = (_packet, done) => done();
  connected = false;
  /** `<root>/<uid>/` */
  readonly #prefix: string;
  #isEnded = false;
  #retry: NodeJS.Timeout | undefined;

  constructor(options: LinkOptions, prefix: string) {
    super();
    this.options = options;
    this.#prefix = prefix;
    queueMicrotask(() => this.open());
  }

  /** Connects; to be answered by {@link up} or {@link lost}. */
  protected abstract open(): void;
  /** Resolves when it is stored. Rejects with {@link Refused} for what the hub does not take. */
  protected abstract say(type: string, payload: Readonly<Record<string, unknown>>): Promise<void>;
  /** Ends the connection. */
  protected abstract cut(): void;

  protected get isEnded(): boolean {
    return this.#isEnded;
  }

  protected up(): void {
    this.connected = true;
    this.emit("connect");
  }

  protected lost(error?: Error): void {
    const { reconnectMs = RETRY_MS } = this.options;
    this.connected = false;
    if (error && !this.#isEnded) this.emit("error", error);
    this.emit("close");
    if (!this.#isEnded && reconnectMs > 0) this.#retry = setTimeout(() => this.open(), reconnectMs).unref();
  }

  protected heard(message: JsonMessage): void {
    const { type, ...payload } = message;
    // A task's signature is over its type too.
    this.#deliver(TYPES[type] ?? type, JSON.stringify(type === "task.exec" ? message : payload));
  }

  publish(topic: string, payload: string | Buffer, _options: object, done: (error?: Error) => void): void {
    const name = topic.startsWith(this.#prefix) ? topic.slice(this.#prefix.length) : "";
    // The session says itself whether the device is there.
    if (name === "availability") return done();
    if (!name.startsWith("up/")) return done(new Error(`a gateway has no ${topic}`));
    void this.#tell({ topic, type: name.slice("up/".length) }, String(payload), done);
  }

  /** What the hub has refused was said, as with MQTT. */
  async #tell({ topic, type }: { topic: string; type: string }, payload: string, done: (error?: Error) => void): Promise<void> {
    let failure: Error | undefined;
    try {
      await this.say(type, JSON.parse(payload) as Record<string, unknown>);
    } catch (error) {
      if (!(error instanceof Refused)) failure = error as Error;
      else this.#deliver("error", JSON.stringify({ code: error.code, message: error.message, topic, details: null } satisfies DownError));
    }
    done(failure);
  }

  async subscribeAsync(): Promise<{ readonly qos: number }[]> {
    return [{ qos: 1 }];
  }

  end(_force: boolean, _options: object, done: () => void): void {
    this.#isEnded = true;
    clearTimeout(this.#retry);
    if (this.connected) this.once("close", done);
    else done();
    this.cut();
  }

  #deliver(type: string, payload: string): void {
    this.handleMessage({ topic: `${this.#prefix}down/${type}`, payload }, () => undefined);
  }
}
