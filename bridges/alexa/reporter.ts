import { setTimeout as pause } from "node:timers/promises";
import type { Bus } from "../../core/bus.ts";
import { HUB_TOPICS } from "../../core/hub-topics.ts";
import type { Topics } from "../../core/topics.ts";
import { listGrants } from "../../store/alexa-grants.ts";
import { Link, type LinkContext } from "./link.ts";

export interface ReporterContext extends LinkContext {
  readonly bus: Bus;
  readonly topics: Topics;
  /** Whose device it is: `undefined` for one that nobody knows. */
  readonly find: (uid: string) => { readonly id: string; readonly organizationId: string | null } | undefined;
}

const LOOK_AGAIN_MS = 60_000;
const RETRY_MS = 1_000;

/** Tells Alexa by every grant, until the signal: the work of one node. */
export async function runReporter(context: ReporterContext, signal: AbortSignal): Promise<void> {
  await using reporter = new Reporter(context);
  await reporter.run(signal);
}

class Reporter implements AsyncDisposable {
  readonly #context: ReporterContext;
  readonly #links = new Map<string, Link>();
  readonly #stack = new DisposableStack();
  #states: DisposableStack | undefined;
  #told = Promise.withResolvers<void>();

  constructor(context: ReporterContext) {
    this.#context = context;
    const { bus } = context;
    const keyOf = (payload: Buffer): string => (JSON.parse(payload.toString()) as { key: string }).key;
    this.#stack.use(
      bus.subscribe(HUB_TOPICS.alexa, (_topic, payload) => {
        this.#reload(keyOf(payload));
        this.#told.resolve();
      }),
    );
    this.#stack.use(bus.subscribe(HUB_TOPICS.homes, (_topic, payload) => this.#reload(keyOf(payload))));
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#told = Promise.withResolvers();
      const isRead = await this.#readGrants().then(
        () => true,
        (error: unknown) => {
          this.#context.log.error({ err: error }, "who has linked Alexa could not be read; it is tried again");
          return false;
        },
      );
      const over = new AbortController();
      const ended = AbortSignal.any([signal, over.signal]);
      const later = pause(isRead ? LOOK_AGAIN_MS : RETRY_MS, undefined, { signal: ended, ref: false }).catch(() => undefined);
      await Promise.race([later, ...(isRead ? [this.#told.promise] : [])]);
      over.abort();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stack.dispose();
    this.#states?.dispose();
    await Promise.all([...this.#links.values()].map((link) => link[Symbol.asyncDispose]()));
  }

  async #readGrants(): Promise<void> {
    const grants = new Map((await listGrants(this.#context.db)).map((grant) => [grant.id, grant]));
    for (const [id, link] of this.#links) {
      if (grants.get(id)?.revision === link.grant.revision) continue;
      this.#links.delete(id);
      await link[Symbol.asyncDispose]();
    }
    for (const [id, grant] of grants) if (!this.#links.has(id)) this.#links.set(id, new Link(this.#context, grant));
    if (this.#links.size > 0) this.#states ??= this.#followStates();
    else {
      this.#states?.dispose();
      this.#states = undefined;
    }
  }

  /** Nobody reads the states of a hub that has no Alexa. */
  #followStates(): DisposableStack {
    const { bus, topics, find } = this.#context;
    const stack = new DisposableStack();
    const onState = (topic: string): void => {
      const parsed = topics.parse(topic);
      const device = parsed && "uid" in parsed ? find(parsed.uid) : undefined;
      if (!device) return;
      for (const link of this.#links.values()) {
        if (link.grant.organizationId !== device.organizationId) continue;
        if (parsed?.kind === "sensor_state") link.noteSensor(device.id, parsed.key);
        else link.note(device.id);
      }
    };
    for (const name of ["availability", "relay/+/state", "light/+/state", "sensor/+/state"])
      stack.use(bus.subscribe(`${topics.root}/+/${name}`, onState, "everywhere"));
    return stack;
  }

  #reload(organizationId: string): void {
    for (const link of this.#links.values()) if (link.grant.organizationId === organizationId) link.reload();
  }
}
