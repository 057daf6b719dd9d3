import { boundedCache } from "../core/bounded-cache.ts";
import { counted, isBeyond, isTooFast } from "../core/alert-signals.ts";
import type { DeviceReading } from "../core/bus.ts";
import { CUSTOM_PREFIX, type HubEvent } from "../core/event.ts";
import { MAX_AHEAD_MS } from "../core/telemetry.ts";
import { findPlacedDevice, type PlacedDevice } from "../store/alert-facts.ts";
import type { Db } from "../store/open.ts";
import { type AlertIndex, isAbout, type WatchingRule } from "./alert-index.ts";
import { AlertRates } from "./alert-rates.ts";
import type { Wanted } from "./alert-record.ts";

export interface WatchingContext {
  readonly index: AlertIndex;
  /** Within the transaction, or as this node knows it. */
  readonly isBad: (trx: Db, rule: WatchingRule, subject: string) => boolean;
  /** ms since 1970 */
  readonly now: () => number;
}

/** What a reading or event asks for: signals, and devices whose silence is to be waited for from now on. */
export interface Asked {
  readonly signals: Wanted[];
  readonly awaited: { readonly rule: WatchingRule; readonly device: { readonly id: string; readonly uid: string } }[];
}

type Found = Pick<PlacedDevice, "id" | "siteId" | "roomId">;

/** Where a device is, is asked again after so long. */
const PLACE_MS = 5_000;
const MOST_DEVICES = 50_000;

/** Holds what happens against the rules; most of it says nothing new, and costs no statement. */
export class AlertWatching {
  readonly #context: WatchingContext;
  readonly #rates = new AlertRates();
  readonly #newest = boundedCache<number>(MOST_DEVICES);
  readonly #places = boundedCache<Found>(MOST_DEVICES, { ttlMs: PLACE_MS });

  constructor(context: WatchingContext) {
    this.#context = context;
  }

  /** What came before tells nothing of the order of what comes now. */
  clockWasSet(): void {
    this.#newest.clear();
    this.#rates.clear();
  }

  /** Devices are elsewhere. */
  placesHaveChanged(): void {
    this.#places.clear();
  }

  async ofReadings(trx: Db, readings: readonly DeviceReading[]): Promise<Asked> {
    const asked: Asked = { signals: [], awaited: [] };
    for (const reading of readings.toSorted((a, b) => a.ts - b.ts)) {
      if (reading.device.organizationId === null) continue;
      const rules = [...this.#context.index.ofReading(reading.device.organizationId, reading.key)];
      if (rules.length === 0) continue;
      // What a device has kept back says how it was, not how it is.
      const isLate = this.#isLate(reading);
      for (const rule of rules) await this.#ofReading(trx, rule, { reading, isLate }, asked);
    }
    return asked;
  }

  async ofEvents(trx: Db, events: readonly HubEvent[]): Promise<Asked> {
    const asked: Asked = { signals: [], awaited: [] };
    for (const event of events) {
      if (event.organizationId === null || event.type.startsWith("alert.")) continue;
      for (const rule of this.#context.index.ofEvent(event.organizationId, event.type)) await this.#ofEvent(trx, rule, event, asked);
    }
    return asked;
  }

  #isLate({ device, key, ts }: DeviceReading): boolean {
    const name = `${device.id} ${key}`;
    const known = this.#newest.get(name) ?? 0;
    // No device is so far ahead: another node has noticed that the clock was set back.
    const newest = known > this.#context.now() + MAX_AHEAD_MS ? 0 : known;
    if (ts > newest) this.#newest.set(name, ts);
    return ts < newest;
  }

  async #ofReading(
    trx: Db,
    rule: WatchingRule,
    { reading, isLate }: { reading: DeviceReading; isLate: boolean },
    { signals, awaited }: Asked,
  ): Promise<void> {
    const { device, key, value, ts } = reading;
    const { condition } = rule.definition;
    const subject = device.uid;
    const wasBad = this.#wasBad(trx, rule, { subject, signals });
    if (!(await this.#isAbout(trx, rule, subject))) {
      if (wasBad) signals.push({ rule, subject, signal: { kind: "gone", why: "gone" } });
      return;
    }
    const say = (isBad: boolean, values: Record<string, unknown>): void => {
      const cause = { device: { id: device.id, uid: device.uid }, values: { device: device.uid, key, ...values }, event: null };
      if (isBad !== wasBad) signals.push({ rule, subject, signal: { kind: isBad ? "bad" : "fine" }, cause: isBad ? cause : undefined });
    };
    switch (condition.kind) {
      case "absence":
        if (wasBad) say(false, {});
        if (wasBad || !rule.awaited.has(subject)) awaited.push({ rule, device });
        return;
      case "threshold": {
        const isBad = isLate ? undefined : isBeyond(condition, value, wasBad);
        if (isBad !== undefined) say(isBad, { value, ts });
        return;
      }
      case "rate": {
        const rate = await this.#rates.rate(trx, { ruleId: rule.rule.id, condition, reading, now: this.#context.now() });
        if (rate !== undefined && !isLate) say(isTooFast(condition, rate), { value, rate, per: condition.per });
        return;
      }
      default:
    }
  }

  /** By what comes before it in the same transaction, too. */
  #wasBad(trx: Db, rule: WatchingRule, { subject, signals }: { subject: string; signals: readonly Wanted[] }): boolean {
    const before = signals.findLast((one) => one.rule === rule && one.subject === subject)?.signal;
    return typeof before === "object" ? before.kind === "bad" : this.#context.isBad(trx, rule, subject);
  }

  async #ofEvent(trx: Db, rule: WatchingRule, event: HubEvent, { signals, awaited }: Asked): Promise<void> {
    const { condition } = rule.definition;
    const { data, type, id, correlationId } = event;
    const device = await this.#deviceOf(trx, event);
    const uid = device?.uid ?? "";
    const isOfPlace = rule.definition.device !== undefined || rule.definition.siteId !== undefined || rule.definition.roomId !== undefined;
    if (uid === "" ? isOfPlace : !(await this.#isAbout(trx, rule, uid))) {
      if (uid !== "" && this.#wasBad(trx, rule, { subject: uid, signals }))
        signals.push({ rule, subject: uid, signal: { kind: "gone", why: "gone" } });
      return;
    }
    if (condition.kind === "event") {
      const cause = { device, values: { type, ...(uid === "" ? {} : { device: uid }), data }, event: { id, correlationId } };
      signals.push({ rule, subject: uid, signal: (recent, now) => counted(condition, recent, now), cause });
    } else if (condition.kind === "device_offline" && device) {
      const isBad = type === "device.offline";
      const cause = { device, values: { device: uid, reason: data["reason"] ?? null }, event: { id, correlationId } };
      signals.push({ rule, subject: uid, signal: { kind: isBad ? "bad" : "fine" }, cause: isBad ? cause : undefined });
    } else if (condition.kind === "absence" && device) {
      if (this.#context.isBad(trx, rule, uid)) signals.push({ rule, subject: uid, signal: { kind: "fine" } });
      if (!rule.awaited.has(uid)) awaited.push({ rule, device });
    }
  }

  /** What the hub says of a device is so; in an event of somebody's own stands whatever they like. */
  async #deviceOf(trx: Db, { type, data, entityId, organizationId }: HubEvent): Promise<{ id: string; uid: string } | null> {
    const uid = typeof data["uid"] === "string" ? data["uid"] : "";
    if (uid === "" || organizationId === null) return null;
    if (!type.startsWith(CUSTOM_PREFIX)) return entityId === null ? null : { id: entityId, uid };
    const found = await this.#find(trx, uid, organizationId);
    return found ? { id: found.id, uid } : null;
  }

  async #isAbout(trx: Db, { definition, rule }: WatchingRule, uid: string): Promise<boolean> {
    if (definition.device !== undefined) return definition.device === uid;
    if (definition.siteId === undefined && definition.roomId === undefined) return true;
    const { siteId = null, roomId = null } = (await this.#find(trx, uid, rule.organizationId)) ?? {};
    return isAbout(definition, { uid, siteId, roomId });
  }

  async #find(trx: Db, uid: string, organizationId: string): Promise<Found | undefined> {
    const key = `${organizationId} ${uid}`;
    const known = this.#places.get(key);
    if (known) return known;
    const found = await findPlacedDevice(trx, uid, organizationId);
    if (found) this.#places.set(key, found);
    return found;
  }
}
