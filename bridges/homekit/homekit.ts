import { hostname } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import { HubError } from "../../core/errors.ts";
import type { HomekitAccessory } from "../../core/homekit.ts";
import type { BridgeState } from "../../core/smart-home.ts";
import { revokeAccessToken } from "../../store/access-tokens.ts";
import {
  type HomekitBridge,
  putHomekitAccessories,
  readHomekitAccessories,
  readHomekitBridges,
  removeHomekit,
} from "../../store/homekit.ts";
import type { Home } from "../../store/home-directory.ts";
import { listOrganizations } from "../../store/organizations.ts";
import type { SmartHomeContext } from "../open-bridges.ts";
import { accessoryOf, listOf } from "./accessories.ts";
import { assign, MAX_BRIDGES } from "./assignment.ts";
import { Child, type ChildHealth } from "./child.ts";
import { findMissing, folderOf, removeFolder, writeSettings } from "./homebridge.ts";
import { prepareBridge } from "./prepare-bridge.ts";
import { takeStorage } from "./storage-keeper.ts";

const RETRY_MS = 5_000;
const LISTENING_POLL_MS = 50;
/** A bridge that fails so often in a row takes somebody to look. */
const MANY_FAILURES = 3;

export type HomekitContext = Pick<
  SmartHomeContext,
  | "bridgesPace"
  | "bus"
  | "caFile"
  | "calls"
  | "clock"
  | "config"
  | "dataDir"
  | "db"
  | "duties"
  | "encryption"
  | "homes"
  | "keys"
  | "log"
  | "metrics"
  | "topics"
  | "urls"
  | "watch"
>;

type Trouble = NonNullable<BridgeState["lastError"]>;

interface Running {
  readonly bridge: HomekitBridge;
  readonly child: Child;
  /** Said of a pairing that is saved, so that every node would have it. */
  readonly isPaired: boolean;
  readonly ended: Promise<void>;
}

/** An organisation's devices in HomeKit: which bridge each is on, what each bridge is told, and the processes that are the bridges. */
export class Homekit implements AsyncDisposable {
  readonly #context: HomekitContext;
  readonly #duty: AsyncDisposable;
  #hasDuty = false;
  #organizationId: string | undefined;
  #trouble: Trouble | null = null;
  #since: number | null = null;
  #status: BridgeState["status"] = "waiting";
  readonly #running = new Map<number, Running>();
  #accessories = new Map<number, readonly HomekitAccessory[]>();
  #leftOut = 0;
  /** What each bridge was told last. */
  readonly #told = new Map<number, string>();
  /** Ends what runs, so that it begins anew. */
  #round = new AbortController();
  #atWork: Promise<void> = Promise.resolve();
  #isOnDuty = false;
  #runsBridges = false;
  /** Until then no round begins. */
  #held: Promise<void> | undefined;

  constructor(context: HomekitContext) {
    this.#context = context;
    this.#duty = context.duties.hold("homekit", async (signal) => {
      this.#hasDuty = true;
      await this.#serve(signal).finally(() => (this.#hasDuty = false));
    });
  }

  /** Whether this node is the one. */
  get hasDuty(): boolean {
    return this.#hasDuty;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#duty[Symbol.asyncDispose]();
  }

  /** Of every bridge, by what is measured. */
  measure(what: "accessories" | "restarts" | "running" | "paired"): number {
    const all = [...this.#running.values()];
    const healths = all.map(({ child }) => child.health);
    if (what === "running") return healths.filter(({ isRunning }) => isRunning).length;
    if (what === "paired") return all.filter(({ isPaired }) => isPaired).length;
    if (what === "restarts") return healths.reduce((sum, { restarts }) => sum + restarts, 0);
    return [...this.#accessories.values()].reduce((sum, { length }) => sum + length, 0);
  }

  state(organizationId: string): BridgeState {
    if (this.#organizationId !== undefined && organizationId !== this.#organizationId)
      return { status: "off", since: null, lastError: null, counts: {}, details: {} };
    const bridges = [...this.#running.values()].map((one) => detailsOf(one, this.#accessories.get(one.bridge.number)?.length ?? 0));
    return {
      status: this.#status,
      since: this.#since,
      lastError: this.#trouble,
      counts: {
        bridges: this.#running.size,
        paired: this.measure("paired"),
        accessories: this.measure("accessories"),
        left_out: this.#leftOut,
        restarts: this.measure("restarts"),
      },
      details: { mode: this.#context.config.homekit, node: hostname(), bridges },
    };
  }

  async resend(organizationId: string): Promise<void> {
    this.#require(organizationId);
    this.#told.clear();
    await this.#tell();
  }

  async unlink(organizationId: string): Promise<void> {
    this.#require(organizationId);
    await this.#anew(async () => {
      const { db, dataDir, clock } = this.#context;
      const bridges = await readHomekitBridges(this.#context, organizationId);
      for (const { tokenId } of bridges) await revokeAccessToken(db, { kind: "organization", organizationId }, tokenId, clock());
      await removeHomekit(db, organizationId);
      for (let number = 0; number < MAX_BRIDGES; number++) {
        await removeFolder(folderOf(dataDir, number));
        await this.#publish(number, "");
      }
    });
  }

  #require(organizationId: string): void {
    if (!this.#isOnDuty || organizationId !== this.#organizationId)
      throw new HubError("conflict", "HomeKit is not on for this organisation, or just begins");
  }

  /** For as long as this node has the duty. */
  async #serve(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#round = new AbortController();
      const round = AbortSignal.any([signal, this.#round.signal]);
      const work = this.#serveRound(round);
      this.#atWork = work.catch(() => undefined);
      try {
        await work;
      } catch (err) {
        if (signal.aborted) return;
        this.#fail("homekit_failed", "HomeKit could not be begun; it is tried again");
        this.#context.log.error({ err }, "HomeKit could not be begun; it is tried again");
        await pause(RETRY_MS, undefined, { signal: round }).catch(() => undefined);
      }
    }
  }

  /** Between two rounds, when nothing runs. */
  async #anew(between: () => Promise<void>): Promise<void> {
    const held = Promise.withResolvers<void>();
    const former = this.#atWork;
    this.#held = held.promise;
    this.#round.abort();
    try {
      await former;
      await between();
    } finally {
      this.#held = undefined;
      held.resolve();
    }
  }

  /** From the first look at the devices to the end of all bridges. */
  async #serveRound(signal: AbortSignal): Promise<void> {
    await this.#held;
    if (!(await this.#isPrepared(signal))) return;
    const organizationId = this.#organizationId as string;
    this.#told.clear();
    const wake = { now: Promise.withResolvers<void>() };
    signal.addEventListener("abort", () => wake.now.resolve(), { once: true });
    using following = await this.#context.homes.follow(organizationId, () => wake.now.resolve());
    this.#isOnDuty = true;
    try {
      while (!signal.aborted) {
        wake.now = Promise.withResolvers();
        if (signal.aborted) break;
        if (!(await this.#follow(following.home, { organizationId, signal }))) setTimeout(() => wake.now.resolve(), RETRY_MS).unref();
        await wake.now.promise;
      }
    } finally {
      this.#isOnDuty = false;
      await Promise.all([...this.#running.values()].map(({ ended }) => ended));
      this.#running.clear();
      this.#context.watch.forget({ bridge: "homekit", organizationId });
      this.#accessories.clear();
    }
  }

  /** Whose devices they are is known, and the hub can be reached. */
  async #isPrepared(signal: AbortSignal): Promise<boolean> {
    const { config, db, urls } = this.#context;
    const organizations = await listOrganizations(db, config.homekitOrganization === undefined ? undefined : [config.homekitOrganization]);
    const [only, another] = organizations;
    if (!only || another) {
      this.#organizationId = undefined;
      const why = only
        ? "there are several organisations: HEXA_HOMEKIT_ORGANIZATION has to say whose devices are in HomeKit"
        : "there is no organisation with the id of HEXA_HOMEKIT_ORGANIZATION";
      this.#fail("homekit_organization", why);
      await pause(RETRY_MS, undefined, { signal }).catch(() => undefined);
      return false;
    }
    this.#organizationId = only.id;
    const missing = config.homekit === "on" ? findMissing() : undefined;
    this.#runsBridges = config.homekit === "on" && missing === undefined;
    if (missing !== undefined) this.#fail("homekit_not_installed", missing);
    else this.#trouble = null;
    while (!signal.aborted && !(urls.mqtt ?? urls.mqtts)) await pause(LISTENING_POLL_MS, undefined, { signal }).catch(() => undefined);
    return !signal.aborted;
  }

  /** Each device is on its bridge, each bridge is told and runs. False when that has to be tried again. */
  async #follow(home: Home, { organizationId, signal }: { organizationId: string; signal: AbortSignal }): Promise<boolean> {
    const { db, log, topics } = this.#context;
    try {
      const shown = new Map<string, HomekitAccessory>();
      for (const device of home.values()) {
        const accessory = device.exposure.homekit ? accessoryOf(device, topics) : undefined;
        if (accessory) shown.set(device.id, accessory);
      }
      const known = await readHomekitAccessories(db, organizationId);
      const { bridges, leftOut } = assign(known, [...shown.keys()]);
      const added = new Map([...bridges].filter(([id, bridge]) => known.get(id) !== bridge));
      const gone = [...known.keys()].filter((id) => !bridges.has(id));
      if (added.size > 0 || gone.length > 0) await putHomekitAccessories(db, organizationId, { added, gone });
      this.#noteLeftOut(leftOut.length);
      const made = await readHomekitBridges(this.#context, organizationId);
      const count = Math.max(1, ...[...bridges.values()].map((number) => number + 1), ...made.map(({ number }) => number + 1));
      this.#accessories = new Map(
        Array.from({ length: count }, (_, number) => [
          number,
          [...bridges].filter(([, bridge]) => bridge === number).map(([id]) => shown.get(id) as HomekitAccessory),
        ]),
      );
      await this.#tell();
      if (this.#runsBridges)
        for (let number = 0; number < count; number++)
          if (!this.#running.has(number)) await this.#begin(number, { organizationId, signal });
      this.#judge();
      return true;
    } catch (err) {
      log.error({ err }, "HomeKit could not be told what there is; it is tried again");
      this.#context.watch.count("homekit", "retried");
      return false;
    }
  }

  async #tell(): Promise<void> {
    for (const [number, accessories] of this.#accessories) {
      const text = JSON.stringify(listOf(accessories, this.#context.topics));
      if (this.#told.get(number) === text) continue;
      await this.#publish(number, text);
      this.#told.set(number, text);
    }
  }

  async #publish(bridge: number, payload: string): Promise<void> {
    await this.#context.bus.publish({ topic: this.#topicOf(bridge), payload, qos: 1, retain: true });
    this.#context.watch.count("homekit", "sent");
  }

  #topicOf(bridge: number): string {
    return this.#context.topics.build({ kind: "homekit_list", organizationId: this.#organizationId as string, bridge });
  }

  /** Starts the bridge of that number, which is made if there was none. */
  async #begin(number: number, { organizationId, signal }: { organizationId: string; signal: AbortSignal }): Promise<void> {
    const { log, dataDir, config, caFile, urls, bridgesPace } = this.#context;
    const running = { bridge: await prepareBridge(this.#context, { organizationId, number }), isPaired: false };
    const folder = folderOf(dataDir, number);
    const storage = await takeStorage(this.#context, { organizationId, number, folder, username: running.bridge.username });
    const child = new Child({
      folder,
      log,
      silenceMs: bridgesPace?.homekitSilenceMs,
      changed: () => {
        if (!child.health.isPaired) running.isPaired = false;
        storage.look(() => {
          running.isPaired = child.health.isPaired;
          this.#judge();
        });
        this.#judge();
      },
      prepare: async (lastError) => {
        // A port that somebody else has by now.
        const isTaken = lastError?.includes("EADDRINUSE") === true;
        running.bridge = await prepareBridge(this.#context, { organizationId, number }, isTaken);
        await writeSettings(folder, {
          name: nameOf(number),
          bridge: running.bridge,
          url: (urls.mqtt ?? urls.mqtts) as string,
          caFile,
          topic: this.#topicOf(number),
          bind: config.homekitAnnounce.split(",").filter((one) => one !== ""),
        });
      },
    });
    const ended = (async () => {
      await using _last = storage;
      await child.run(signal);
    })();
    this.#running.set(number, Object.assign(running, { child, ended }));
  }

  #noteLeftOut(count: number): void {
    this.#leftOut = count;
    if (count === 0) this.#forget("homekit_full");
    else this.#fail("homekit_full", `${count} devices are not in HomeKit, which has room for ${MAX_BRIDGES} bridges of 149`);
  }

  #judge(): void {
    const healths = [...this.#running.values()].map(({ child }) => child.health);
    const worst = healths.find(({ failures, isRunning }) => failures >= MANY_FAILURES && !isRunning);
    if (worst) return this.#fail("homekit_bridge_ends", `a HomeKit bridge ends again and again: ${worst.lastError}`);
    this.#forget("homekit_bridge_ends");
    if (healths.some(({ isSilent }) => isSilent))
      return this.#fail("homekit_bridge_silent", "a HomeKit bridge does not answer; unless it does soon, it is ended and started again");
    this.#forget("homekit_bridge_silent");
    if (this.#trouble?.code === "homekit_not_installed") return;
    const isInUse = [...this.#running.values()].some(({ child, isPaired }) => child.health.isRunning && isPaired);
    this.#become(isInUse ? "connected" : "waiting");
  }

  #fail(code: string, message: string): void {
    const { clock } = this.#context;
    if (this.#trouble?.code !== code || this.#trouble.message !== message) this.#trouble = { at: clock(), code, message };
    this.#become("failed");
  }

  /** That trouble is over. */
  #forget(code: string): void {
    if (this.#trouble?.code === code) this.#trouble = null;
  }

  #become(status: BridgeState["status"]): void {
    if (status === this.#status && this.#since !== null) return;
    this.#status = status;
    this.#since = this.#context.clock();
    if (this.#organizationId !== undefined && status !== "off")
      this.#context.watch.note(
        { bridge: "homekit", organizationId: this.#organizationId },
        status,
        status === "failed" ? this.#trouble : null,
      );
  }
}

function detailsOf({ bridge: { number }, child, isPaired }: Running, listed: number) {
  const { isRunning, isConnected, accessories, unexposed, restarts, lastError, pid }: ChildHealth = child.health;
  return {
    number,
    name: nameOf(number),
    running: isRunning,
    paired: isPaired,
    connected: isConnected,
    listed,
    accessories,
    unexposed,
    restarts,
    last_error: lastError,
    pid,
  };
}

export const nameOf = (number: number): string => `Hexahub ${number + 1}`;
