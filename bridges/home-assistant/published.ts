import type { HomeDevice } from "../../core/smart-home.ts";
import {
  type DiscoveryBroker,
  type PublishedDiscovery,
  readDiscoveries,
  readGhosts,
  removeGhosts,
  saveDiscoveries,
} from "../../store/home-assistant.ts";
import type { Db } from "../../store/open.ts";
import { discoveriesOf, ghostPayload, withRemoved, type DiscoveryForm, type DiscoveryPlace } from "./discovery.ts";
import { type Plan, planOf } from "./plan.ts";

export interface PublishedContext {
  readonly db: Db;
  readonly broker: DiscoveryBroker;
  /** Retained; resolves when the broker keeps it, or to false when it does not take it. An empty payload takes the topic back. */
  readonly publish: (topic: string, payload: string) => Promise<boolean>;
  /** To whoever listens now. */
  readonly say: (topic: string, payload: string) => Promise<unknown>;
  readonly clock: () => number;
}

/** Devices a turn: what may be there is written down before they are told of, and what is there afterwards. */
const TURN = 50;

/**
 * What a broker was told, and tells it what is otherwise by now and nothing else. What it may have been told before a crash is
 * told or taken back again.
 */
export class Published {
  readonly #context: PublishedContext;
  /** By organisation, uid and topic. */
  readonly #told = new Map<string, Map<string, Map<string, PublishedDiscovery>>>();
  /** Nothing is to be told of a device that is the same object as it was. */
  #settled = new WeakMap<HomeDevice, DiscoveryForm>();

  private constructor(context: PublishedContext) {
    this.#context = context;
  }

  static async load(context: PublishedContext): Promise<Published> {
    const published = new Published(context);
    for (const one of (await readDiscoveries(context.db, context.broker)).values()) published.#put(one);
    return published;
  }

  /** Those of which the broker was told something. */
  organizations(): string[] {
    return [...this.#told.keys()];
  }

  /** The keys of what was told of each device of the organisation, by uid. */
  partsOf(organizationId: string): Map<string, string[]> {
    const uids = [...(this.#told.get(organizationId) ?? [])];
    return new Map(uids.map(([uid, topics]) => [uid, [...topics.values()].flatMap(({ components }) => Object.keys(components))]));
  }

  /** The broker may have forgotten it: all that is there is told again. */
  forget(organizationId: string): void {
    this.#settled = new WeakMap();
    for (const topics of this.#told.get(organizationId)?.values() ?? [])
      for (const one of topics.values()) topics.set(one.topic, { ...one, digest: null });
  }

  /** Resolves when the broker keeps what there is to tell of these devices of the organisation, and of no others. Gives the number of messages. */
  async reconcile(organizationId: string, devices: Iterable<HomeDevice>, place: DiscoveryPlace, signal?: AbortSignal): Promise<number> {
    const gone = new Set(this.#told.get(organizationId)?.keys());
    let count = 0;
    let turn: { readonly device?: HomeDevice; readonly plan: Plan }[] = [];
    const finish = async (): Promise<void> => {
      const done = turn;
      turn = [];
      count += await this.#tell(done.map(({ plan }) => plan));
      for (const { device } of done) if (device) this.#settled.set(device, place.form);
    };
    const take = async (uid: string, device: HomeDevice | undefined): Promise<void> => {
      const plans = this.#plansOf(organizationId, uid, device, place);
      if (plans.length === 0 && device) this.#settled.set(device, place.form);
      for (const plan of plans) turn.push({ ...(device ? { device } : {}), plan });
      if (turn.length >= TURN) await finish();
    };
    for (const device of devices) {
      if (signal?.aborted) return count;
      gone.delete(device.uid);
      if (this.#settled.get(device) !== place.form) await take(device.uid, device);
    }
    for (const uid of gone) await take(uid, undefined);
    await finish();
    return count;
  }

  /**
   * Home Assistant has come back, after a restart or a lost connection: it lets go of what it has not heard of while it was away. `devices` are those
   * that were reconciled. Whoever knows that it has heard this forgets the ghosts.
   */
  async banish(organizationId: string, devices: Iterable<HomeDevice>, place: DiscoveryPlace): Promise<void> {
    const { db, broker, publish, say } = this.#context;
    const ghosts = await readGhosts(db, broker, organizationId);
    if (ghosts.length === 0) return;
    const there = this.partsOf(organizationId);
    const gone = ghosts.filter(({ uid, key }) => there.get(uid)?.includes(key) !== true);
    const uids = new Set(gone.map(({ uid }) => uid));
    const affected = [...devices].filter(({ uid }) => uids.has(uid));
    const living = new Map(affected.flatMap((device) => discoveriesOf(device, place)).map((one) => [one.topic, one]));
    const said: Promise<unknown>[] = [];
    for (const [topic, of] of Map.groupBy(gone, (ghost) => ghost.topic)) {
      const one = living.get(topic);
      said.push(say(topic, ghostPayload(of, place, one)));
      if (!one) said.push(publish(topic, ""));
      else
        said.push(
          say(topic, withRemoved(one, Object.fromEntries(of.map(({ key, platform }) => [key, platform])))),
          say(topic, one.payload),
        );
    }
    await Promise.all(said);
  }

  async forgetGhosts(organizationId: string): Promise<void> {
    const { db, broker } = this.#context;
    await removeGhosts(db, broker, organizationId);
  }

  #plansOf(organizationId: string, uid: string, device: HomeDevice | undefined, place: DiscoveryPlace): Plan[] {
    const told = [...(this.#told.get(organizationId)?.get(uid)?.values() ?? [])];
    if (!device) return listOf(planOf(organizationId, told, []));
    const wanted = discoveriesOf(device, place);
    const former = told.find(({ form }) => form !== place.form)?.form;
    if (former === undefined || told.some(({ form }) => form === place.form)) return listOf(planOf(organizationId, told, wanted));
    // A thing that is gone by now is taken back in the form that it was told in: a migration would keep it in Home Assistant's books.
    const kept = discoveriesOf(device, { ...place, form: former });
    const first = planOf(organizationId, told, kept);
    const between = first
      ? [...told.filter(({ topic }) => !first.deleted.includes(topic) && !first.put.some((one) => one.topic === topic)), ...first.put]
      : told;
    return [...listOf(first), ...listOf(planOf(organizationId, between, wanted))];
  }

  /** All of it is under way at once, each plan's steps in their order; a failure leaves what is remembered unsettled. */
  async #tell(plans: readonly Plan[]): Promise<number> {
    if (plans.length === 0) return 0;
    const { db, broker, publish, clock } = this.#context;
    const between = new Map<string, PublishedDiscovery>();
    for (const one of plans.flatMap((plan) => plan.meanwhile))
      between.set(one.topic, { ...one, components: { ...between.get(one.topic)?.components, ...one.components } });
    const meanwhile = [...between.values()];
    const ghosts = [...new Map(plans.flatMap((plan) => plan.ghosts).map((one) => [`${one.topic} ${one.key}`, one])).values()];
    await saveDiscoveries(db, broker, { put: meanwhile, deleted: [], ghosts }, clock());
    for (const one of meanwhile) this.#put(one);
    const steps = plans.flatMap((plan) => plan.steps);
    // What the broker has not taken, or not given back, is as unsettled as it was.
    const unsettled = new Set<string>();
    await Promise.all(
      steps.map(async ({ topic, payload }) => {
        if (!(await publish(topic, payload))) unsettled.add(topic);
      }),
    );
    const put = new Map<string, PublishedDiscovery>();
    const deleted = new Map<string, PublishedDiscovery>();
    for (const plan of plans) {
      for (const one of plan.put) {
        if (unsettled.has(one.topic)) continue;
        put.set(one.topic, one);
        deleted.delete(one.topic);
      }
      for (const one of plan.meanwhile)
        if (plan.deleted.includes(one.topic) && !unsettled.has(one.topic)) {
          deleted.set(one.topic, one);
          put.delete(one.topic);
        }
    }
    await saveDiscoveries(db, broker, { put: [...put.values()], deleted: [...deleted.keys()] }, clock());
    for (const one of put.values()) this.#put(one);
    for (const one of deleted.values()) this.#drop(one);
    return steps.length;
  }

  #put(one: PublishedDiscovery): void {
    const uids = this.#told.get(one.organizationId) ?? new Map<string, Map<string, PublishedDiscovery>>();
    const topics = uids.get(one.uid) ?? new Map<string, PublishedDiscovery>();
    this.#told.set(one.organizationId, uids.set(one.uid, topics.set(one.topic, one)));
  }

  #drop({ organizationId, uid, topic }: PublishedDiscovery): void {
    const uids = this.#told.get(organizationId);
    const topics = uids?.get(uid);
    topics?.delete(topic);
    if (topics?.size === 0) uids?.delete(uid);
    if (uids?.size === 0) this.#told.delete(organizationId);
  }
}

const listOf = (plan: Plan | undefined): Plan[] => (plan === undefined ? [] : [plan]);
