import { setTimeout as pause } from "node:timers/promises";
import type { MqttClient } from "mqtt";
import { HubError } from "../../core/errors.ts";
import { SENSOR_KEY } from "../../core/payloads.ts";
import type { HomeDevice } from "../../core/smart-home.ts";
import { isCommandTopic, topicCommand } from "../../core/topic-command.ts";
import { getIrCode } from "../../store/ir-codes.ts";
import type { Following, Home } from "../../store/home-directory.ts";
import { eachRetainedState } from "../../store/retained-state.ts";
import type { SmartHomeContext } from "../open-bridges.ts";
import type { DiscoveryPlace } from "./discovery.ts";
import { isMirrored, isMomentary, Mirror } from "./mirror.ts";
import { Published } from "./published.ts";
import { connectRemote, type RemoteMessage, subscribeRemote } from "./remote-client.ts";
import { readRefused } from "./remote-faults.ts";
import { RemoteWrites } from "./remote-writes.ts";

/** Messages that the other broker has not acknowledged, at most. */
const MOST_UNANSWERED = 100;
const RETRY_MS = 1_000;
const BIRTH_PAUSE_MS = { least: 200, most: 1_500 };
const GOODBYE_MS = 2_000;
const STATUS = "homeassistant/status";
const NOBODY: Home = new Map();

export interface RemoteEvents {
  readonly onConnected: (isConnected: boolean) => void;
  readonly onError: (error: unknown) => void;
}

/** An organisation's devices on a broker elsewhere: the node that has the duty runs one. */
export class Remote implements AsyncDisposable {
  readonly #context: SmartHomeContext;
  readonly #organizationId: string;
  readonly #events: RemoteEvents;
  readonly #mirror = new Mirror();
  readonly #stack = new AsyncDisposableStack();
  #published!: Published;
  #following!: Following;
  #client!: MqttClient;
  readonly #writes: RemoteWrites;
  #unanswered = 0;
  #isDirty = false;
  #reconciling: Promise<void> | undefined;
  #birth: NodeJS.Timeout | undefined;
  /** Home Assistant has come back since the devices were gone through. */
  #isBorn = false;
  #isEnding = false;
  #isLeaving = false;
  #seen: { readonly home: Home; readonly byUid: ReadonlyMap<string, HomeDevice> } | undefined;

  private constructor(context: SmartHomeContext, organizationId: string, events: RemoteEvents) {
    this.#context = context;
    this.#organizationId = organizationId;
    this.#events = events;
    this.#writes = new RemoteWrites({
      client: () => this.#client,
      onWritten: (result) => context.watch.count("home_assistant", result),
      onJudged: (fault) => (fault ? events.onError(fault) : events.onConnected(true)),
      onRetry: () => void this.#greet(),
    });
  }

  static async start(context: SmartHomeContext, organizationId: string, events: RemoteEvents): Promise<Remote> {
    const remote = new Remote(context, organizationId, events);
    try {
      await remote.#begin();
    } catch (error) {
      await remote[Symbol.asyncDispose]();
      throw error;
    }
    return remote;
  }

  /** Everything, as if the other side knew nothing and would take all of it. */
  resend(): void {
    this.#writes.forgive();
    this.#tellAll();
  }

  #tellAll(): void {
    this.#published.forget(this.#organizationId);
    this.#mirror.forgetTold();
    this.#reconcile();
    this.#pump();
  }

  /** Takes back all that the other side was told, and tells it nothing any more. */
  leave(): void {
    this.#isLeaving = true;
    this.#seen = undefined;
    this.#reconcile();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnding = true;
    clearTimeout(this.#birth);
    await this.#stack.disposeAsync();
    await this.#reconciling;
  }

  async #begin(): Promise<void> {
    const { config, db, bus, topics, homes, clock, watch } = this.#context;
    this.#stack.use(watch.queue("home_assistant", () => this.#mirror.untold.size + this.#unanswered));
    this.#published = await Published.load({
      db,
      broker: "remote",
      publish: (topic, payload) => this.#writes.keep(topic, payload),
      say: (topic, payload) => this.#writes.say(topic, payload),
      clock,
    });
    for (const told of ["availability", "relay/+/state", "light/+/state", "sensor/+/state", "up/input_event", "up/heartbeat"]) {
      const hear = (topic: string, payload: Buffer): void => this.#heardHere(topic, payload.toString());
      this.#stack.use(bus.subscribe(`${topics.root}/+/${told}`, hear, "everywhere"));
    }
    this.#following = this.#stack.use(
      await homes.follow(this.#organizationId, () => {
        // The first word comes before there is something to follow.
        if (this.#client as MqttClient | undefined) this.#reconcile();
      }),
    );
    this.#client = await connectRemote({
      config,
      clientId: `hexahub-${this.#organizationId}`,
      will: { topic: this.#place.hubAvailability, payload: "offline" },
      onMessage: (message) => this.#heardThere(message),
      onConnect: () => void this.#connected(),
      onClose: (isOwnDoing) => {
        this.#writes.closed(isOwnDoing);
        this.#unanswered = 0;
        this.#events.onConnected(false);
      },
      onError: (error) => this.#events.onError(error),
    });
    this.#stack.defer(() => this.#sayGoodbye());
    await this.#learnStates();
  }

  get #place(): DiscoveryPlace {
    const { topics, config } = this.#context;
    const organizationId = this.#organizationId;
    return {
      topics,
      form: config.haMqttForm,
      hubAvailability: topics.build({ kind: "hub_availability", organizationId }),
      // As the contract has them: the broker is this organisation's own.
      topicOf: ({ uid }, component, part) => `homeassistant/${component}/hexa_${uid}${part === undefined ? "" : `_${part}`}/config`,
    };
  }

  /** Those that are to be seen, by their uids. */
  get #devices(): ReadonlyMap<string, HomeDevice> {
    const home = (this.#following as Following | undefined)?.home ?? NOBODY;
    if (this.#seen?.home !== home) {
      const seen = this.#isLeaving ? [] : [...home.values()].filter(({ exposure }) => exposure.home_assistant);
      this.#seen = { home, byUid: new Map(seen.map((device) => [device.uid, device])) };
    }
    return this.#seen.byUid;
  }

  async #connected(): Promise<void> {
    this.#writes.opened();
    await this.#greet();
  }

  async #greet(): Promise<void> {
    const { root } = this.#context.topics;
    try {
      const filters = [`${root}/+/relay/+/set`, `${root}/+/light/+/set`, `${root}/+/ir/send`, `${root}/+/button/+/press`, STATUS];
      const refused = await subscribeRemote(this.#client, filters);
      if (refused.length > 0) this.#writes.refuse("to read", readRefused(refused), true);
      await this.#writes.keep(this.#place.hubAvailability, this.#isLeaving ? "" : "online");
    } catch (error) {
      if (this.#writes.signal.aborted) return;
      this.#events.onError(error);
      this.#client.stream.destroy();
      return;
    }
    this.#writes.judgeSoon();
    this.#tellAll();
  }

  /** What the tables have of states that nobody has told since. */
  async #learnStates(): Promise<void> {
    const { db, topics } = this.#context;
    for await (const { topic, payload } of eachRetainedState(db, topics)) if (!this.#mirror.has(topic)) this.#heardHere(topic, payload);
  }

  #heardHere(topic: string, payload: string): void {
    const parsed = this.#context.topics.parse(topic);
    if (!parsed || !("uid" in parsed) || !this.#devices.has(parsed.uid)) return;
    if (isMirrored(parsed)) {
      this.#mirror.set(topic, payload);
      this.#pump();
    } else if (isMomentary(parsed) && !this.#writes.signal.aborted && this.#unanswered < MOST_UNANSWERED)
      this.#client.publish(topic, payload, { qos: 0 });
  }

  /** Tells what waits, oldest first, as fast as the other broker takes it. */
  #pump(): void {
    const { signal } = this.#writes;
    for (const topic of this.#mirror.untold) {
      if (signal.aborted || this.#unanswered >= MOST_UNANSWERED) return;
      this.#unanswered++;
      this.#writes.keep(topic, this.#mirror.take(topic)).then(
        () => {
          if (signal.aborted) return;
          this.#unanswered--;
          this.#pump();
        },
        () => this.#mirror.putBack(topic),
      );
    }
  }

  #reconcile(): void {
    this.#isDirty = true;
    this.#reconciling ??= this.#reconcileAll().finally(() => {
      this.#reconciling = undefined;
    });
  }

  async #reconcileAll(): Promise<void> {
    while (this.#isDirty && !this.#isEnding) {
      this.#isDirty = false;
      const { signal } = this.#writes;
      // Whoever connects begins anew.
      if (signal.aborted) return;
      const devices = [...this.#devices.values()];
      try {
        await this.#forgetGone(devices);
        await this.#published.reconcile(this.#organizationId, devices, this.#place, signal);
        if (this.#isBorn) {
          await this.#published.banish(this.#organizationId, devices, this.#place);
          await this.#published.forgetGhosts(this.#organizationId);
        }
        this.#isBorn = false;
        if (this.#isLeaving) await this.#writes.keep(this.#place.hubAvailability, "");
        if (devices.some(({ uid }) => !this.#mirror.has(this.#availabilityOf(uid)))) await this.#learnStates();
      } catch (error) {
        if (signal.aborted) return;
        this.#events.onError(error);
        this.#isDirty = true;
        await pause(RETRY_MS, undefined, { ref: false });
      }
    }
  }

  #availabilityOf(uid: string): string {
    return this.#context.topics.build({ kind: "availability", uid });
  }

  /** The states of devices that are not to be seen any more, as what was told of them has them: a run that died may have left them. */
  async #forgetGone(devices: readonly HomeDevice[]): Promise<void> {
    const uids = new Set(devices.map(({ uid }) => uid));
    for (const [uid, parts] of this.#published.partsOf(this.#organizationId)) {
      if (uids.has(uid)) continue;
      for (const topic of [this.#availabilityOf(uid), ...parts.flatMap((part) => this.#stateOf(uid, part))]) {
        this.#mirror.set(topic, "");
        this.#mirror.take(topic);
        await this.#writes.keep(topic, "");
      }
    }
  }

  #stateOf(uid: string, part: string): string[] {
    const { topics } = this.#context;
    const [, kind, rest = ""] = /^(relay|light|sensor)_(.+)$/.exec(part) ?? [];
    if (kind === "relay" || kind === "light") return [topics.build({ kind: `${kind}_state`, uid, index: Number(rest) })];
    return kind === "sensor" && SENSOR_KEY.test(rest) ? [topics.build({ kind: "sensor_state", uid, key: rest })] : [];
  }

  /** Resolves when it need not come again. */
  async #heardThere({ topic, payload, isRetained, identity }: RemoteMessage): Promise<void> {
    const { commands, db, topics, log } = this.#context;
    const organizationId = this.#organizationId;
    if (topic === STATUS) return this.#heardStatus(payload.toString());
    const parsed = topics.parse(topic);
    if (!parsed || !isCommandTopic(parsed)) return;
    try {
      if (isRetained) throw new HubError("retain_refused", `${topic} does not take retained messages`);
      const device = this.#devices.get(parsed.uid);
      if (!device) throw new HubError("not_found", "there is no such device");
      const { id } = device;
      const command = await topicCommand(parsed, payload, async (code) => (await getIrCode(db, { id, organizationId }, code)).signal);
      await commands.accept({
        device: id,
        command,
        scope: { kind: "organization", organizationId },
        actor: { kind: "bridge", id: "home-assistant" },
        source: "home-assistant",
        origin: identity,
      });
    } catch (error) {
      if (!(error instanceof HubError) || error.code === "storage_full" || error.code === "unavailable") throw error;
      log.warn({ code: error.code, topic }, "a command of Home Assistant was refused");
      // What it shows is what it wished for: it is told what is.
      const states = parsed.kind === "relay_set" || parsed.kind === "light_set" ? topic.replace(/set$/, "state") : undefined;
      if (states !== undefined && this.#mirror.has(states)) {
        this.#mirror.putBack(states);
        this.#pump();
      }
    }
  }

  #heardStatus(status: string): void {
    if (status !== "online") return;
    const { least, most } = BIRTH_PAUSE_MS;
    clearTimeout(this.#birth);
    this.#birth = setTimeout(() => this.#born(), least + Math.random() * (most - least)).unref();
  }

  #born(): void {
    this.#isBorn = true;
    this.#tellAll();
  }

  async #sayGoodbye(): Promise<void> {
    const { signal } = this.#writes;
    // Of several nodes another one goes on.
    const isLast = this.#context.config.redisUrl === undefined && !this.#isLeaving;
    if (isLast && !signal.aborted) {
      const said = this.#writes.keep(this.#place.hubAvailability, "offline");
      await Promise.race([said, pause(GOODBYE_MS, undefined, { ref: false })]).catch(() => undefined);
    }
    this.#isEnding = true;
    await Promise.race([this.#client.endAsync(signal.aborted), pause(GOODBYE_MS, undefined, { ref: false })]);
    this.#writes.closed(true);
    this.#client.end(true);
  }
}
