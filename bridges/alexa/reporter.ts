import { setTimeout as pause } from "node:timers/promises";
import type { Bus } from "../../core/bus.ts";
import { HUB_TOPICS } from "../../core/hub-topics.ts";
import type { Topics } from "../../core/topics.ts";
import { type AlexaGrant, listEndedGrants, listGrants } from "../../store/alexa-grants.ts";
import { endLink } from "./link-ends.ts";
import { Link, type LinkContext } from "./link.ts";

export interface ReporterContext extends LinkContext {
  readonly bus: Bus;
  readonly topics: Topics;
  /** Whose device it is: `undefined` for one that nobody knows. */
  readonly find: (uid: string) => { readonly id: string; readonly organizationId: string | null } | undefined;
}

const LOOK_AGAIN_MS = 60_000;
/** Whether those who have linked it are still let in. */
const LOOK_AT_CREDENTIALS_MS = 2_000;
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
  readonly #closing = new AbortController();
  readonly #ending = new Map<string, Promise<void>>();
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
      const soonest = this.#links.size > 0 ? LOOK_AT_CREDENTIALS_MS : LOOK_AGAIN_MS;
      const later = pause(isRead ? soonest : RETRY_MS, undefined, { signal: ended, ref: false }).catch(() => undefined);
      await Promise.race([later, ...(isRead ? [this.#told.promise] : [])]);
      over.abort();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    this.#stack.dispose();
    this.#states?.dispose();
    await Promise.all([...[...this.#links.values()].map((link) => link[Symbol.asyncDispose]()), ...this.#ending.values()]);
  }

  async #readGrants(): Promise<void> {
    const { db, clock } = this.#context;
    const ended = new Map((await listEndedGrants(db, clock())).map((grant) => [grant.id, grant]));
    const grants = new Map((await listGrants(db)).filter(({ id }) => !ended.has(id)).map((grant) => [grant.id, grant]));
    for (const [id, link] of this.#links) {
      if (grants.get(id)?.revision === link.grant.revision) continue;
      this.#links.delete(id);
      await link[Symbol.asyncDispose]();
    }
    for (const grant of ended.values()) this.#end(grant);
    for (const [id, grant] of grants) if (!this.#links.has(id)) this.#links.set(id, new Link(this.#context, grant));
    if (this.#links.size > 0) this.#states ??= this.#followStates();
    else {
      this.#states?.dispose();
      this.#states = undefined;
    }
  }

  /** It is told nothing from now on; what it was told is taken back, and nobody waits for that. */
  #end(grant: AlexaGrant): void {
    if (this.#ending.has(grant.id)) return;
    const { log } = this.#context;
    const ending = endLink(this.#context, grant, this.#closing.signal)
      .catch((error: unknown) => log.error({ err: error, grant_id: grant.id }, "a link to Alexa could not be ended; it is tried again"))
      .finally(() => this.#ending.delete(grant.id));
    this.#ending.set(grant.id, ending);
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
