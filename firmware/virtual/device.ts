import { EventEmitter, once } from "node:events";
import { type Capabilities, defaultCapabilities, type DeviceSettings } from "../../core/device.ts";
import type { Ack, DownCommand, DownError, InputEvent, Registered, SensorValue, UpType } from "../../core/payloads.ts";
import { type DeviceState, mergeState, type OnOff } from "../../core/state.ts";
import type { Topics } from "../../core/topics.ts";
import type { Behaviour, DeviceEvents, Executed, VirtualDevice, VirtualDeviceOptions } from "./contract.ts";
import { CommandMemory, execute, type Faults, reportOf } from "./execution.ts";
import { closeLink, connected } from "./link.ts";
import { parseDown, topicsOf } from "./contract-topics.ts";
import { TaskDesk } from "./task-desk.ts";
import { pressWhenAsked } from "./remote.ts";
import type { DeviceTaskKey } from "./tasks.ts";
import { type Link, openTransport } from "./transport.ts";

export type { VirtualDevice, VirtualDeviceOptions } from "./contract.ts";

/**
 * A device in software that speaks the protocol of firmware/README.md. Resolves when the hub has answered its
 * registration; rejects with the broker's reason when it is refused, and when the hub cannot be reached.
 */
export async function startVirtualDevice(options: VirtualDeviceOptions): Promise<VirtualDevice> {
  const device = new SoftwareDevice(options);
  try {
    await device.reconnect();
  } catch (error) {
    await device[Symbol.asyncDispose]();
    throw error;
  }
  return device;
}

const REGISTER_TIMEOUT_MS = 10_000;
const PUBLISH_TIMEOUT_MS = 30_000;
const GOODBYE_TIMEOUT_MS = 2_000;
const RETRY_MS = 1_000;
const MAX_UNSENT = 10_000;
const MAX_EXECUTED = 10_000;
const MAX_ERRORS = 1_000;

class SoftwareDevice implements VirtualDevice {
  readonly uid: string;
  readonly capabilities: Capabilities;
  readonly events = new EventEmitter<DeviceEvents>();
  readonly executed: Executed[] = [];
  readonly errors: DownError[] = [];
  state: DeviceState;
  irSent = 0;
  expired = 0;
  taskKey: DeviceTaskKey | undefined;
  config: DeviceSettings | undefined;
  registered: Registered | undefined;
  readonly #options: VirtualDeviceOptions;
  readonly #topics: Topics;
  readonly #memory = new CommandMemory();
  readonly #tasks: TaskDesk;
  readonly #unsent = new Set<(error: Error) => void>();
  readonly #delayed = new Set<NodeJS.Timeout>();
  readonly #startedAt: number;
  #faults: Faults = {};
  #client: Link | undefined;
  #heartbeat: NodeJS.Timeout | undefined;
  #behaviour: NodeJS.Timeout | undefined;
  #flap: NodeJS.Timeout | undefined;
  /** Whether its owner wants it connected. */
  #wanted = false;
  #ready = false;
  #cycling = false;
  #disposed = false;

  constructor(options: VirtualDeviceOptions) {
    this.#options = options;
    this.#topics = topicsOf(options.topicRoot);
    this.uid = options.uid;
    this.capabilities = options.capabilities ?? defaultCapabilities(options.deviceClass);
    this.state = {
      relays: Array.from({ length: this.capabilities.relays ?? 0 }, (_, index) => ({ index, state: "OFF" as const })),
      lights: Array.from({ length: this.capabilities.lights ?? 0 }, (_, index) => ({ index, state: "OFF" as const, brightness: 100 })),
    };
    this.#startedAt = this.#now();
    this.#faults = options.faults ?? {};
    this.taskKey = options.taskKey;
    pressWhenAsked(this, (work) => this.#background(work));
    this.#tasks = new TaskDesk({
      now: () => ({ state: this.state, capabilities: this.capabilities, faults: this.#faults, key: this.taskKey, now: this.#now() }),
      events: this.events,
      take: (executed, state) => this.#take(executed, state),
      say: (work) => this.#say(work),
      send: (type, payload) => this.send(type, payload),
      background: (work) => this.#background(work),
      powerCycle: () => this.#powerCycle(),
    });
  }

  get refusedTasks(): number {
    return this.#tasks.refused;
  }

  get connected(): boolean {
    return this.#client?.connected ?? false;
  }

  get faults(): Faults {
    return this.#faults;
  }

  set faults(faults: Faults) {
    this.#faults = faults;
    clearInterval(this.#flap);
    this.#flap =
      faults.flap === undefined || this.#disposed
        ? undefined
        : setInterval(() => this.#background(this.#powerCycle()), faults.flap.everyMs).unref();
  }

  taskRuns(taskId: string): number {
    return this.#tasks.runs(taskId);
  }

  async next<K extends keyof DeviceEvents>(name: K, timeoutMs = 10_000): Promise<DeviceEvents[K][0]> {
    try {
      const [value] = (await once(this.events, name, { signal: AbortSignal.timeout(timeoutMs) })) as DeviceEvents[K];
      return value;
    } catch (cause) {
      throw new Error(`${this.uid}: no "${name}" in ${timeoutMs} ms`, { cause });
    }
  }

  async press(input: number, event: InputEvent["event"] = "click"): Promise<void> {
    await this.send("input_event", { input, event });
  }

  async setRelayLocally(index: number, state: OnOff): Promise<void> {
    const relays = [{ index, state }];
    this.#become(mergeState(this.state, { relays }));
    await this.send("state_report", { relays });
  }

  async sendTelemetry(values: Readonly<Record<string, SensorValue>>, ts?: number, qos: 0 | 1 = 1): Promise<void> {
    await this.publish(this.#up("telemetry"), JSON.stringify({ ...(ts === undefined ? {} : { ts }), values }), { qos });
  }

  async send(type: UpType, payload: object): Promise<void> {
    await this.publish(this.#up(type), JSON.stringify(payload), { qos: 1 });
  }

  async publish(topic: string, payload: string | Buffer, options: { readonly qos?: 0 | 1; readonly retain?: boolean } = {}): Promise<void> {
    await this.#publish({ topic, payload, qos: options.qos ?? 0, retain: options.retain ?? false }, PUBLISH_TIMEOUT_MS);
  }

  async #publish(
    { topic, payload, qos, retain }: { topic: string; payload: string | Buffer; qos: 0 | 1; retain: boolean },
    timeoutMs: number,
  ): Promise<void> {
    const client = this.#client;
    if (!client) throw new Error(`${this.uid} is not connected`);
    if (this.#unsent.size >= MAX_UNSENT) throw new Error(`${this.uid} has ${MAX_UNSENT} unacknowledged messages`);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = setTimeout(() => reject(new Error(`${topic} was not acknowledged in ${timeoutMs} ms`)), timeoutMs).unref();
    this.#unsent.add(reject);
    client.publish(topic, payload, { qos, retain }, (error) => (error ? reject(error) : resolve()));
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      this.#unsent.delete(reject);
    }
  }

  async disconnect(): Promise<void> {
    this.#wanted = false;
    if (this.connected) {
      const goodbye = { topic: this.#availability(), payload: "offline", qos: 1, retain: true } as const;
      await this.#publish(goodbye, GOODBYE_TIMEOUT_MS).catch((error: unknown) => this.#log({ error }, "could not say offline"));
    }
    await this.#close("in order");
  }

  async kill(): Promise<void> {
    this.#wanted = false;
    await this.#close("without a word");
  }

  async reconnect(): Promise<void> {
    if (this.#disposed) throw new Error(`${this.uid} is disposed`);
    if (this.#client) throw new Error(`${this.uid} is connected already, or is trying to`);
    this.#wanted = true;
    const client = openTransport(this.#options, { topic: this.#availability(), payload: "offline" });
    this.#client = client;
    client.on("error", (error) => this.#log({ error }, "connection error"));
    client.handleMessage = (packet, done) => {
      // What still lies in the buffer of a connection that is over has no effect, and so no PUBACK: it comes again.
      if (this.#client !== client) return;
      this.#receive(packet.topic, typeof packet.payload === "string" ? Buffer.from(packet.payload) : packet.payload);
      done();
    };
    client.on("close", () => this.#lost("connection closed"));
    try {
      await connected(client);
      await this.#introduce(client);
    } catch (error) {
      if (this.#client === client) await this.#close("without a word");
      throw error;
    }
    // The next ones come from the client's own attempts after a loss.
    client.on("connect", () => this.#background(this.#introduce(client)));
    this.faults = this.#faults;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true;
    this.#wanted = false;
    this.faults = { ...this.#faults, flap: undefined };
    for (const timer of this.#delayed) clearTimeout(timer);
    await this.disconnect();
    this.events.removeAllListeners();
  }

  /** Subscribes before it says that it is online, so that no command can come between. */
  async #introduce(client: Link): Promise<void> {
    const registered = once(this.events, "ready", { signal: AbortSignal.timeout(REGISTER_TIMEOUT_MS) });
    // An earlier step may fail first; the failure of this one must not go unheard then.
    registered.catch(() => undefined);
    const granted = await client.subscribeAsync(`${this.#topics.root}/${this.uid}/down/#`, { qos: 1 });
    const [subscription] = granted;
    if (subscription && subscription.qos >= 128) throw new Error(`${this.uid} may not subscribe to its own down/#`);
    await this.publish(this.#availability(), "online", { qos: 1, retain: true });
    const { model, firmwareVersion = "virtual-1.0.0" } = this.#options;
    await this.send("register", {
      capabilities: this.capabilities,
      firmware_version: firmwareVersion,
      ...(model === undefined ? {} : { model }),
    });
    try {
      await registered;
    } catch (cause) {
      throw new Error(`${this.uid}: the hub did not answer the registration in ${REGISTER_TIMEOUT_MS} ms`, { cause });
    }
    if (this.state.relays.length + this.state.lights.length > 0)
      await this.send("state_report", { relays: this.state.relays, lights: this.state.lights });
  }

  #receive(topic: string, payload: Buffer): void {
    const place = this.#topics.parse(topic);
    if (place?.kind !== "down" || place.uid !== this.uid) return;
    try {
      const json: unknown = JSON.parse(payload.toString());
      if (place.type === "command") this.#onCommand(parseDown.command(json));
      else if (place.type === "registered") this.#onRegistered(parseDown.registered(json));
      else if (place.type === "error") this.#onError(parseDown.error(json));
      else if (place.type === "config") this.#onConfig(parseDown.config(json));
      else if (place.type === "task" && this.capabilities.tasks) this.#tasks.receive(topic, json);
      else this.events.emit("down", { type: place.type, payload: json });
    } catch (error) {
      this.#log({ error, topic }, "ignored a message that this firmware does not understand");
    }
  }

  #onRegistered(registered: Registered): void {
    this.registered = registered;
    clearInterval(this.#heartbeat);
    const everyMs = this.#options.heartbeatMs ?? registered.heartbeat_interval_s * 1000;
    if (everyMs > 0) this.#heartbeat = setInterval(() => this.#background(this.#beat()), everyMs).unref();
    const { behaviour } = this.#options;
    if (behaviour) this.#behaviour ??= setInterval(() => this.#background(this.#behave(behaviour)), behaviour.everyMs).unref();
    this.#ready = true;
    this.events.emit("ready", registered);
  }

  #onConfig(config: DeviceSettings): void {
    this.config = config;
    this.events.emit("config", config);
  }

  #onError(error: DownError): void {
    this.errors.push(error);
    if (this.errors.length > MAX_ERRORS) this.errors.shift();
    this.events.emit("refused", error);
  }

  #onCommand(fields: DownCommand & Readonly<Record<string, unknown>>): void {
    const answer = this.#memory.find(fields.command_id);
    if (answer === undefined && Date.parse(fields.expires_at) <= this.#now()) this.expired++;
    else if (answer === undefined) this.#execute(fields);
    else if (answer !== "in progress") this.#background(this.#acknowledge(answer));
    this.events.emit("command", fields);
  }

  #execute(fields: DownCommand & Readonly<Record<string, unknown>>): void {
    this.#memory.begin(fields.command_id);
    const { ack, command, state, report } = execute(fields, { state: this.state, capabilities: this.capabilities, faults: this.#faults });
    if (command) this.#take([{ commandId: ack.command_id, command }], state);
    this.#say(async () => {
      this.#memory.finish(ack);
      if (this.#faults.silent) return;
      await this.#acknowledge(ack);
      // As they are by now: somebody may have switched one at the device since.
      if (report) await this.send("state_report", reportOf(report, this.state));
      if (command?.command === "restart") await this.#powerCycle();
    });
  }

  #take(executed: readonly Executed[], state: DeviceState): void {
    if (executed.length === 0) return;
    for (const one of executed) {
      this.executed.push(one);
      if (this.executed.length > MAX_EXECUTED) this.executed.shift();
      if (one.command.command === "ir_send") this.irSent += 1 + (one.command.repeat ?? 0);
    }
    this.#become(state);
    for (const one of executed) this.events.emit("executed", one);
  }

  #say(work: () => Promise<void>): void {
    const { slowMs } = this.#faults;
    if (slowMs === undefined) this.#background(work());
    else this.#later(slowMs, work);
  }

  async #acknowledge(ack: Ack): Promise<void> {
    if (this.#faults.silent) return;
    await this.send("ack", ack);
    if (this.#faults.doubleAck) await this.send("ack", ack);
    this.events.emit("acknowledged", ack);
  }

  #become(state: DeviceState): void {
    this.state = state;
    this.events.emit("state", state);
  }

  async #beat(): Promise<void> {
    if (!this.connected) return;
    await this.send("heartbeat", { uptime_s: Math.round((this.#now() - this.#startedAt) / 1000), rssi: -55, free_heap: 180_000 });
  }

  async #behave(behaviour: Behaviour): Promise<void> {
    const values = behaviour.sample(this.#now(), this.state);
    if (values && this.connected) await this.sendTelemetry(values);
  }

  /** Off and on again, and once more after a while when the hub cannot be reached. */
  async #powerCycle(): Promise<void> {
    if (this.#cycling || !this.#wanted) return;
    this.#cycling = true;
    try {
      await this.#close("without a word");
      if (this.#wanted) await this.reconnect();
    } catch (error) {
      this.#later(RETRY_MS, () => this.#powerCycle());
      throw error;
    } finally {
      this.#cycling = false;
    }
  }

  #later(ms: number, work: () => Promise<void>): void {
    const timer = setTimeout(() => {
      this.#delayed.delete(timer);
      this.#background(work());
    }, ms).unref();
    this.#delayed.add(timer);
  }

  #background(work: Promise<void>): void {
    work.catch((error: unknown) => this.#log({ error }, "could not tell the hub"));
  }

  async #close(how: "in order" | "without a word"): Promise<void> {
    const client = this.#client;
    if (!client) return;
    this.#client = undefined;
    clearInterval(this.#heartbeat);
    clearInterval(this.#behaviour);
    this.#behaviour = undefined;
    await closeLink(client, how);
    this.#lost(how === "in order" ? "disconnected" : "killed");
    for (const reject of this.#unsent) reject(new Error(`${this.uid} lost its connection`));
  }

  #lost(reason: string): void {
    if (!this.#ready) return;
    this.#ready = false;
    this.events.emit("lost", { reason });
  }

  #availability(): string {
    return this.#topics.build({ kind: "availability", uid: this.uid });
  }

  #up(type: UpType): string {
    return this.#topics.build({ kind: "up", uid: this.uid, type });
  }

  #now(): number {
    return (this.#options.now ?? Date.now)();
  }

  #log(data: object, message: string): void {
    this.#options.log?.({ deviceUid: this.uid, ...data }, message);
  }
}
