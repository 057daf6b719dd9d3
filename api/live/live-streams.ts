import type { AccessDirectory, Bus, DeviceDirectory, Log } from "../../core/bus.ts";
import { HubError } from "../../core/errors.ts";
import { type LiveSubject, type LiveTopic, liveTopicOf, maySeeLive } from "../../core/live.ts";
import { maySomewhere } from "../../core/permissions.ts";
import type { Member } from "../../core/principal.ts";
import type { Topics } from "../../core/topics.ts";
import { endedAmong } from "../../store/ended-credentials.ts";
import { latestOfSensors, type LatestReading, type Sensor } from "../../store/latest-readings.ts";
import type { Db } from "../../store/open.ts";
import { LiveReader } from "../notifications/readers.ts";
import { createPlaces } from "../stream-places.ts";

export interface LiveStreamsContext {
  readonly db: Db;
  readonly bus: Bus;
  readonly topics: Topics;
  readonly directory: DeviceDirectory;
  readonly access: AccessDirectory;
  readonly log: Log;
  /** ms since 1970 */
  readonly clock: () => number;
  readonly pace?: Partial<LivePace>;
}

export interface LivePace {
  /** Without anything to tell, a sign of life comes so often. */
  readonly heartbeatMs: number;
  /** A reader that takes nothing for so long is gone. */
  readonly stalledMs: number;
  /** How often it is asked whose login or token has ended. */
  readonly checkMs: number;
  /** Values of sensors are gathered for so long. */
  readonly gatherMs: number;
}

const PACE: LivePace = { heartbeatMs: 15_000, stalledMs: 30_000, checkMs: 500, gatherMs: 100 };
/** Streams at a time, at this node. */
export const LIVE_PLACES = { ofAll: 500, ofOrganization: 100, ofOne: 10 };
/** Asked of the database at once. */
const SENSORS_AT_ONCE = 1_000;
/** Of one reader: events that wait for it, and sensors of which a value does. */
const MOST_EVENTS = 1_000;
const MOST_SENSORS = 10_000;
/** Told at once. */
const MOST_TOLD = 500;

interface Told extends LiveSubject {
  readonly text: string;
}
interface ToldEvent extends Told {
  readonly id: string;
}

/** Who reads live values at this node, and what waits for each of them. */
export class LiveStreams implements Disposable {
  readonly #context: LiveStreamsContext;
  readonly pace: LivePace;
  readonly #takePlace = createPlaces(LIVE_PLACES);
  readonly #streams = new Set<LiveStream>();
  readonly #changed = new Map<string, Sensor>();
  #following: Disposable | undefined;
  #gathering: NodeJS.Timeout | undefined;
  #isChecking = false;
  #isClosed = false;

  constructor(context: LiveStreamsContext) {
    this.#context = context;
    this.pace = { ...PACE, ...context.pace };
  }

  get count(): number {
    return this.#streams.size;
  }

  /** Throws `rate_limited` when there are as many as there may be, and `unavailable` when the hub stops. */
  open(who: Member, topics: readonly LiveTopic[]): LiveStream {
    if (this.#isClosed) throw new HubError("unavailable", "the hub stops");
    const place = this.#takePlace(who);
    if (!place)
      throw new HubError("rate_limited", "too many streams are open: end one, or ask again later", { details: { retry_after_s: 30 } });
    const stream = new LiveStream(who, {
      topics: new Set(topics),
      maySee: (subject) => maySeeLive(this.#context.access.of(who), subject),
      onEnd: () => {
        place[Symbol.dispose]();
        this.#remove(stream);
      },
    });
    this.#streams.add(stream);
    this.#following ??= this.#follow();
    return stream;
  }

  /** Ends all of them, before the API waits for its answers to end. */
  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#endAll();
  }

  #remove(stream: LiveStream): void {
    if (!this.#streams.delete(stream) || this.#streams.size > 0) return;
    this.#following?.[Symbol.dispose]();
    this.#following = undefined;
    clearTimeout(this.#gathering);
    this.#gathering = undefined;
    this.#changed.clear();
  }

  #endAll(): void {
    for (const stream of this.#streams) stream.end();
  }

  /** Of all nodes, as long as somebody reads. */
  #follow(): Disposable {
    const { bus, topics } = this.#context;
    const stack = new DisposableStack();
    const any = "+";
    stack.use(bus.subscribe(topics.build({ kind: "sensor_state", uid: any, key: any }), (topic) => this.#noteSensor(topic), "everywhere"));
    stack.use(
      bus.subscribe(
        topics.build({ kind: "event", organizationId: any, type: any }),
        (topic, payload) => this.#noteEvent(topic, payload),
        "everywhere",
      ),
    );
    const timer = setInterval(() => void this.#check(), this.pace.checkMs).unref();
    stack.defer(() => clearInterval(timer));
    return stack;
  }

  #noteEvent(name: string, payload: Buffer): void {
    const topic = this.#context.topics.parse(name);
    const kind = topic?.kind === "event" ? liveTopicOf(topic.type) : undefined;
    if (topic?.kind !== "event" || kind === undefined) return;
    const text = payload.toString();
    const { id, subject = null } = JSON.parse(text) as { id: string; subject?: string };
    const told: ToldEvent = { topic: kind, organizationId: topic.organizationId, entityId: subject, id, text: eventText(kind, id, text) };
    for (const stream of this.#streams) stream.tellEvent(told);
  }

  /** The topic has the bare value of now: what it is, and of when, is asked for a little later, once for all who read. */
  #noteSensor(name: string): void {
    const topic = this.#context.topics.parse(name);
    if (topic?.kind !== "sensor_state") return;
    this.#changed.set(name, topic);
    this.#gathering ??= setTimeout(() => void this.#tellSensors(), this.pace.gatherMs).unref();
  }

  async #tellSensors(): Promise<void> {
    const changed = [...this.#changed.values()].filter(({ uid }) => this.#isWanted(uid));
    this.#changed.clear();
    try {
      for (let at = 0; at < changed.length; at += SENSORS_AT_ONCE)
        for (const reading of await latestOfSensors(this.#context.db, changed.slice(at, at + SENSORS_AT_ONCE))) this.#tellReading(reading);
    } catch (error) {
      // What it says next is told again; whoever wants to miss none asks for the newest values.
      this.#context.log.warn({ err: error }, "live values could not be read");
    }
    this.#gathering = this.#changed.size > 0 ? setTimeout(() => void this.#tellSensors(), this.pace.gatherMs).unref() : undefined;
  }

  #isWanted(uid: string): boolean {
    const device = this.#context.directory.find(uid);
    if (!device || device.organizationId === null) return false;
    const subject = { topic: "live_data", organizationId: device.organizationId, entityId: device.id } as const;
    return [...this.#streams].some((stream) => stream.wants(subject));
  }

  #tellReading({ organizationId, ...reading }: LatestReading & { readonly organizationId: string | null }): void {
    if (organizationId === null) return;
    const told: Told = { topic: "live_data", organizationId, entityId: reading.deviceId, text: readingText(reading) };
    for (const stream of this.#streams) stream.tellReading(`${reading.deviceId} ${reading.key}`, told);
  }

  /** One look after the other, however slow the database is. */
  async #check(): Promise<void> {
    if (this.#isChecking) return;
    this.#isChecking = true;
    const { db, access, clock, log } = this.#context;
    try {
      const members = [...this.#streams].map(({ who }) => who);
      const ended = await endedAmong(db, members, clock());
      for (const stream of this.#streams) if (ended.has(stream.who) || !maySomewhere(access.of(stream.who), "device.read")) stream.end();
    } catch (error) {
      // Whoever comes back goes on where they were; nobody reads on who may have lost the right to.
      log.warn({ err: error }, "whose streams have to end could not be read: all of them end");
      this.#endAll();
    }
    this.#isChecking = false;
  }
}

interface LiveTerms {
  readonly topics: ReadonlySet<LiveTopic>;
  readonly maySee: (subject: LiveSubject) => boolean;
  readonly onEnd: () => void;
}

/** What waits for one reader: the newest value of each sensor, and events in their order. Rights are asked when it comes and when it goes. */
export class LiveStream extends LiveReader<Member> {
  readonly #terms: LiveTerms;
  readonly #readings = new Map<string, Told>();
  readonly #events: ToldEvent[] = [];
  #dropped = 0;

  constructor(who: Member, terms: LiveTerms) {
    super(who, terms.onEnd);
    this.#terms = terms;
  }

  wants(subject: LiveSubject): boolean {
    return this.#terms.topics.has(subject.topic) && this.#terms.maySee(subject);
  }

  /** A reader for whom more wait than are kept goes on with the next stream, where it was. */
  tellEvent(event: ToldEvent): void {
    if (!this.wants(event)) return;
    if (this.#events.length >= MOST_EVENTS) return this.end();
    this.#events.push(event);
    this.wake();
  }

  tellReading(sensor: string, reading: Told): void {
    if (!this.wants(reading)) return;
    if (this.#readings.size >= MOST_SENSORS && !this.#readings.has(sensor)) this.#dropped++;
    else this.#readings.set(sensor, reading);
    this.wake();
  }

  /** What is told next, "" for nothing; without the events that were told before. */
  take(before: ReadonlySet<string>): string {
    const events = this.#events.splice(0, MOST_TOLD).filter((event) => !before.has(event.id) && this.wants(event));
    const readings: Told[] = [];
    for (const [sensor, reading] of this.#readings) {
      if (readings.length >= MOST_TOLD) break;
      this.#readings.delete(sensor);
      if (this.wants(reading)) readings.push(reading);
    }
    const dropped = this.#dropped === 0 ? "" : `event: dropped\ndata: ${JSON.stringify({ live_data: this.#dropped })}\n\n`;
    this.#dropped = 0;
    return dropped + [...events, ...readings].map(({ text }) => text).join("");
  }
}

/** `json` on one line. */
export const eventText = (topic: LiveTopic, id: string, json: string): string => `id: ${id}\nevent: ${topic}\ndata: ${json}\n\n`;

const readingText = ({ deviceId, uid, key, value, ts, receivedAt }: LatestReading): string =>
  `event: live_data\ndata: ${JSON.stringify({ device_id: deviceId, uid, key, value, ts: new Date(ts).toISOString(), received_at: receivedAt })}\n\n`;
