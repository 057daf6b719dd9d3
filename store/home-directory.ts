import { isDeepStrictEqual } from "node:util";
import type { Bus, Log } from "../core/bus.ts";
import { HUB_TOPICS } from "../core/hub-topics.ts";
import type { HomeDevice } from "../core/smart-home.ts";
import type { Topics } from "../core/topics.ts";
import { ChangedRows, shareChanges } from "./changed-rows.ts";
import { readHomeDevices } from "./home-devices.ts";
import type { Db } from "./open.ts";

/** Nobody says that a device sends a new key; it is seen by then. */
const LOOK_AGAIN_MS = 60_000;
/** What one person does at once is read once; a large home has longer, so that reading it is a small part of the time. */
const GATHER_MS = 50;
const GATHER_READS = 4;
const DEVICE_EVENTS = ["device.registered", "device.claimed", "device.released", "device.deleted"] as const;

/** An organisation's devices, by their ids. */
export type Home = ReadonlyMap<string, HomeDevice>;

/** What is another than before; one that left the organisation or was removed is gone. */
export interface HomeChange {
  readonly home: Home;
  /** New ones too. */
  readonly changed: readonly HomeDevice[];
  readonly gone: readonly HomeDevice[];
}

/** What smart homes see, in memory for as long as one of them follows it. */
export interface HomeDirectory extends AsyncDisposable {
  /**
   * Resolves when what there is is known; the listener hears of every change, first of all that everything is new.
   */
  follow(organizationId: string, listener: (change: HomeChange) => void): Promise<Following>;
  /** The database says something else of the organisation's devices now. Other nodes hear of it within a second. */
  changed(organizationId: string): void;
  /** Changes may have been missed. */
  reload(): void;
}

export interface Following extends Disposable {
  readonly home: Home;
}

export const startHomeDirectory = (context: Context): HomeDirectory => new Homes(context);

interface Context {
  readonly db: Db;
  readonly bus: Bus;
  readonly topics: Topics;
  readonly log: Log;
}

interface Followed {
  home: Map<string, HomeDevice>;
  readonly known: PromiseWithResolvers<void>;
  readonly listeners: Set<(change: HomeChange) => void>;
}

class Homes implements HomeDirectory {
  readonly #followed = new Map<string, Followed>();
  readonly #gathering = new Map<string, NodeJS.Timeout>();
  readonly #stack = new AsyncDisposableStack();
  readonly #rows: ChangedRows<HomeDevice[]>;
  readonly #shared: ReturnType<typeof shareChanges>;
  #gatherMs = GATHER_MS;

  constructor({ db, bus, topics, log }: Context) {
    this.#rows = this.#stack.use(
      new ChangedRows<HomeDevice[]>({
        what: "the devices of smart homes",
        read: (organizationIds) => this.#read(db, organizationIds),
        known: () => this.#followed.keys(),
        apply: (organizationId, devices) => this.#apply(organizationId, devices),
        log,
      }),
    );
    this.#shared = this.#stack.use(shareChanges({ note: (key) => this.#note(key) }, { bus, log, topic: HUB_TOPICS.homes }));
    const onEvent = (topic: string): void => {
      const parsed = topics.parse(topic);
      if (parsed?.kind === "event") this.#note(parsed.organizationId);
    };
    for (const type of DEVICE_EVENTS)
      this.#stack.use(bus.subscribe(topics.build({ kind: "event", organizationId: "+", type }), onEvent, "everywhere"));
    const again = setInterval(() => this.reload(), LOOK_AGAIN_MS).unref();
    this.#stack.defer(() => {
      clearInterval(again);
      for (const timer of this.#gathering.values()) clearTimeout(timer);
    });
  }

  async follow(organizationId: string, listener: (change: HomeChange) => void): Promise<Following> {
    let followed = this.#followed.get(organizationId);
    if (!followed) {
      followed = { home: new Map(), known: Promise.withResolvers<void>(), listeners: new Set() };
      this.#followed.set(organizationId, followed);
      this.#rows.note(organizationId);
    }
    const one = followed;
    const hear = (change: HomeChange): void => listener(change);
    one.listeners.add(hear);
    await one.known.promise;
    return {
      get home() {
        return one.home;
      },
      [Symbol.dispose]: () => {
        one.listeners.delete(hear);
        if (one.listeners.size === 0 && this.#followed.get(organizationId) === one) this.#followed.delete(organizationId);
      },
    };
  }

  changed(organizationId: string): void {
    this.#shared.announce(organizationId);
  }

  reload(): void {
    this.#rows.reload();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }

  #note(organizationId: string): void {
    if (!this.#followed.has(organizationId) || this.#gathering.has(organizationId)) return;
    const timer = setTimeout(() => {
      this.#gathering.delete(organizationId);
      this.#rows.note(organizationId);
    }, this.#gatherMs);
    this.#gathering.set(organizationId, timer);
  }

  async #read(db: Db, organizationIds: readonly string[] = [...this.#followed.keys()]): Promise<Map<string, HomeDevice[]>> {
    const began = performance.now();
    const found = new Map<string, HomeDevice[]>();
    for (const id of organizationIds) if (this.#followed.has(id)) found.set(id, await readHomeDevices(db, id));
    this.#gatherMs = Math.max(GATHER_MS, GATHER_READS * (performance.now() - began));
    return found;
  }

  #apply(organizationId: string, devices: readonly HomeDevice[] = []): void {
    const followed = this.#followed.get(organizationId);
    if (!followed) return;
    const home = new Map(devices.map((device) => [device.id, device]));
    const gone = [...followed.home.values()].filter(({ id }) => !home.has(id));
    const changed: HomeDevice[] = [];
    for (const [id, device] of home) {
      const before = followed.home.get(id);
      // The same object until something changes.
      if (before && isDeepStrictEqual(before, device)) home.set(id, before);
      else changed.push(device);
    }
    followed.home = home;
    followed.known.resolve();
    if (changed.length === 0 && gone.length === 0) return;
    for (const hear of followed.listeners) hear({ home, changed, gone });
  }
}
