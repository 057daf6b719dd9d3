import { createHash } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { alexaEvent, type AlexaEvent } from "../../core/alexa.ts";
import type { AccessDirectory, EventSink, Log } from "../../core/bus.ts";
import type { BridgeLink } from "../../core/bridge-event.ts";
import { canonicalJson } from "../../core/canonical-json.ts";
import { type Access, NO_PERMISSIONS, organizationAccess } from "../../core/permissions.ts";
import type { HomeDevice } from "../../core/smart-home.ts";
import type { UserPrincipal } from "../../core/principal.ts";
import { type AlexaGrant, dropTold, noteGrant, noteLeftOut, putTold, readTold, type ToldEndpoint } from "../../store/alexa-grants.ts";
import { isForeignKeyViolation } from "../../store/database-errors.ts";
import type { Following, HomeChange, HomeDirectory } from "../../store/home-directory.ts";
import { type HomeFacts, readHomeFacts } from "../../store/home-facts.ts";
import { inTransaction } from "../../store/transaction.ts";
import { findUser, userPrincipal } from "../../store/users.ts";
import type { BridgeWatch } from "../bridge-watch.ts";
import { AmazonError, CLIENT_REFUSED } from "./amazon.ts";
import { causeOf, differenceOf, toldOf } from "./changes.ts";
import { scenesFor } from "./directives.ts";
import { type Description, type DeviceEndpoint, endpointsFor, endpointsOf, sensorKind, visibleEndpoints } from "./endpoints.ts";
import { GrantTokens, type GrantTokensContext } from "./grant-tokens.ts";
import { propertiesOf } from "./properties.ts";

export interface LinkContext extends GrantTokensContext {
  readonly homes: HomeDirectory;
  readonly access: AccessDirectory;
  readonly watch: BridgeWatch;
  readonly events: EventSink;
  readonly log: Log;
}

/** What somebody does at once is told at once. */
const GATHER_MS = 100;
/** Readings that change all the time. */
const SLOW_GAP_MS = 30_000;
const AT_ONCE = 4;
const CHUNK = 50;
const FIRST_BACK_OFF_MS = 1_000;
const MAX_BACK_OFF_MS = 300_000;
/** What nobody tells of is seen by then. */
const LOOK_AGAIN_MS = 60_000;
/** Whether somebody may do something else now. */
const LOOK_AT_RIGHTS_MS = 1_000;

/**
 * Tells Alexa by one grant what becomes of the home. What waits is the devices that have changed, not their changes: each is told
 * as it is when its turn comes.
 */
export class Link implements AsyncDisposable {
  readonly grant: AlexaGrant;
  readonly #context: LinkContext;
  readonly #closing = new AbortController();
  readonly #tokens: GrantTokens;
  /** By device, from when on; by a clock that nobody sets. */
  readonly #dirty = new Map<string, number>();
  /** By endpoint, and by device: until when readings wait. */
  readonly #slowUntil = new Map<string, number>();
  readonly #readUntil = new Map<string, number>();
  readonly #running: Promise<void>;
  #told: Map<string, ToldEndpoint> | undefined;
  /** Devices that are being told of: they wait until Amazon has them. */
  #underWay = 0;
  #isSynced = false;
  #rights: Access = organizationAccess("", NO_PERMISSIONS);
  #following: Following | undefined;
  #woken = Promise.withResolvers<void>();
  #status: AlexaGrant["status"];
  #failures = 0;

  constructor(context: LinkContext, grant: AlexaGrant) {
    this.#context = context;
    this.grant = grant;
    this.#status = grant.status;
    this.#tokens = new GrantTokens(context, grant, this.#closing.signal);
    context.watch.know(this.#link, grant.status);
    this.#running = this.#run();
  }

  /** Something of the device may be another than Alexa knows. */
  note(deviceId: string): void {
    this.#noteAt(deviceId, performance.now() + GATHER_MS);
  }

  /** As {@link Link.note}, of a sensor. */
  noteSensor(deviceId: string, key: string): void {
    const sensor = this.#following?.home.get(deviceId)?.sensors.get(key);
    const kind = sensor && sensorKind(sensor);
    if (!kind) return;
    const soon = performance.now() + GATHER_MS;
    const isSlow = kind === "temperature" || kind === "range";
    this.#noteAt(deviceId, isSlow ? Math.max(soon, this.#readUntil.get(deviceId) ?? 0) : soon);
    if (isSlow) this.#readUntil.set(deviceId, Math.max(this.#readUntil.get(deviceId) ?? 0, soon + SLOW_GAP_MS));
  }

  #noteAt(deviceId: string, at: number): void {
    if ((this.#dirty.get(deviceId) ?? Infinity) <= at) return;
    this.#dirty.set(deviceId, at);
    this.#woken.resolve();
  }

  /** What there is may be something else, and what Alexa was told of it. */
  reload(): void {
    this.#told = undefined;
    this.#isSynced = false;
    this.#woken.resolve();
  }

  get #link(): BridgeLink {
    const { organizationId, userId } = this.grant;
    return { bridge: "alexa", organizationId, userId };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    this.#woken.resolve();
    await this.#running;
    this.#context.watch.forget(this.#link);
  }

  async #run(): Promise<void> {
    const { grant } = this;
    if (grant.status === "failed" && grant.error?.code !== CLIENT_REFUSED) return;
    const { signal } = this.#closing;
    using _queue = this.#context.watch.queue("alexa", () => this.#dirty.size + this.#underWay);
    using following = await this.#context.homes.follow(grant.organizationId, (change) => this.#homeChanged(change));
    this.#following = following;
    for (const id of following.home.keys()) this.note(id);
    const { access } = this.#context;
    let lookAgainAt = performance.now() + LOOK_AGAIN_MS;
    let { version } = access;
    while (!signal.aborted) {
      if (performance.now() >= lookAgainAt || access.version !== version) {
        lookAgainAt = performance.now() + LOOK_AGAIN_MS;
        ({ version } = access);
        this.#isSynced = false;
      }
      try {
        const didSomething = await this.#step();
        if (!didSomething) await this.#wait(performance.now() + LOOK_AT_RIGHTS_MS);
      } catch (error) {
        if (signal.aborted || !(await this.#recover(error))) return;
      }
    }
  }

  #homeChanged({ changed }: HomeChange): void {
    this.#isSynced = false;
    for (const { id } of changed) this.note(id);
    this.#woken.resolve();
  }

  async #wait(until: number): Promise<void> {
    const due = Math.min(until, ...this.#dirty.values());
    const ms = Math.max(0, due - performance.now());
    const over = new AbortController();
    const signal = AbortSignal.any([over.signal, this.#closing.signal]);
    await Promise.race([this.#woken.promise, pause(ms, undefined, { signal, ref: false }).catch(() => undefined)]);
    over.abort();
    this.#woken = Promise.withResolvers();
  }

  /** Whether there was something to do. */
  async #step(): Promise<boolean> {
    if (!this.#isSynced) {
      this.#isSynced = true;
      await this.#sync().catch((error: unknown) => {
        this.#isSynced = false;
        throw error;
      });
      return true;
    }
    const now = performance.now();
    const due = [...this.#dirty].filter(([, at]) => at <= now).slice(0, AT_ONCE);
    for (const [id] of due) this.#dirty.delete(id);
    this.#underWay = due.length;
    const done = await Promise.allSettled(due.map(([id]) => this.#report(id)));
    const failed = done.flatMap((one, index) =>
      one.status === "rejected" ? [{ reason: one.reason as unknown, id: due[index]?.[0] }] : [],
    );
    for (const { id } of failed) if (id !== undefined && !this.#dirty.has(id)) this.#dirty.set(id, now);
    this.#underWay = 0;
    const worst = failed.find(({ reason }) => reason instanceof AmazonError && reason.kind === "ended") ?? failed[0];
    if (worst) throw worst.reason;
    return due.length > 0;
  }

  /** False when there is nothing more to do by this grant. */
  async #recover(failure: unknown): Promise<boolean> {
    const { log, watch } = this.#context;
    const { id: grantId } = this.grant;
    if (failure instanceof AmazonError && failure.kind === "ended") {
      log.warn({ grant_id: grantId, code: failure.code }, "Amazon takes nothing more by a link to Alexa");
      await this.#note("failed", failure);
      return false;
    }
    // It was taken back while something was told.
    if (isForeignKeyViolation(failure)) return false;
    if (!(failure instanceof AmazonError)) log.error({ err: failure, grant_id: grantId }, "Alexa could not be told; it is tried again");
    watch.count("alexa", "retried");
    const backOffMs = Math.min(MAX_BACK_OFF_MS, FIRST_BACK_OFF_MS * 2 ** this.#failures++) * (0.8 + 0.4 * Math.random());
    const askedMs = failure instanceof AmazonError ? (failure.retryAfterMs ?? 0) : 0;
    if (this.#status !== "waiting")
      await this.#note(
        "waiting",
        failure instanceof AmazonError ? failure : { code: "failed", message: "the hub failed; its log says why" },
      );
    await pause(Math.max(backOffMs, askedMs), undefined, { signal: this.#closing.signal, ref: false }).catch(() => undefined);
    return true;
  }

  async #note(status: AlexaGrant["status"], error: { readonly code: string; readonly message: string } | null): Promise<void> {
    const { db, clock, log, watch } = this.#context;
    this.#status = status;
    watch.note(this.#link, status, error);
    await noteGrant(db, this.grant, { status, error }, clock()).catch((cause: unknown) =>
      log.error({ err: cause, grant_id: this.grant.id }, "how a link to Alexa is doing could not be noted"),
    );
  }

  /** Tells which endpoints there are, and are no more. */
  async #sync(): Promise<void> {
    const { db } = this.#context;
    const { grant } = this;
    this.#told ??= await readTold(db, grant.id);
    const told = this.#told;
    const principal = await this.#readRights();
    const facts = await readHomeFacts(db, grant.organizationId);
    const home = this.#following?.home ?? new Map<string, HomeDevice>();
    const scenes = principal ? await scenesFor(db, { principal, rights: this.#rights }) : [];
    const { all, leftOut } = endpointsFor({ devices: home.values(), facts, scenes, rights: this.#rights });
    const fresh = all
      .map((description) => ({ description, hash: hashOf(description) }))
      .filter(({ description: { endpointId }, hash }) => told.get(endpointId)?.hash !== hash);
    const states = new Map(
      [...home.values()].flatMap((device) => this.#statesOf(endpointsOf(device, facts.get(device.id)), facts.get(device.id))),
    );
    for (let at = 0; at < fresh.length; at += CHUNK) {
      const chunk = fresh.slice(at, at + CHUNK);
      const endpoints = chunk.map(({ description }) => description);
      await this.#send("AddOrUpdateReport", (scope) => discoveryEvent("AddOrUpdateReport", { endpoints, scope }));
      // Of a new endpoint Alexa asks the state by itself.
      await this.#tell(
        chunk.map(({ description: { endpointId: id }, hash }) => ({ id, hash, state: told.get(id)?.state ?? states.get(id) ?? {} })),
      );
    }
    const wanted = new Set(all.map(({ endpointId }) => endpointId));
    const gone = [...told.keys()].filter((id) => !wanted.has(id));
    for (let at = 0; at < gone.length; at += CHUNK) {
      const ids = gone.slice(at, at + CHUNK);
      await this.#send("DeleteReport", (scope) =>
        discoveryEvent("DeleteReport", { endpoints: ids.map((endpointId) => ({ endpointId })), scope }),
      );
      await dropTold(db, grant.id, ids);
      for (const id of ids) told.delete(id);
    }
    if (leftOut !== grant.leftOut) await noteLeftOut(db, grant.id, leftOut);
  }

  #statesOf(endpoints: readonly DeviceEndpoint[], facts: HomeFacts | undefined): [string, ToldEndpoint["state"]][] {
    const now = this.#context.clock();
    return endpoints.map((one) => [one.description.endpointId, toldOf(propertiesOf(one, facts, now))]);
  }

  /** Of whoever has linked it; somebody who is gone has none. */
  async #readRights(): Promise<UserPrincipal | undefined> {
    const { db, access } = this.#context;
    const { userId, organizationId, tokenScope, id } = this.grant;
    const user = await findUser(db, userId);
    if (!user?.isActive) {
      this.#rights = organizationAccess(organizationId, NO_PERMISSIONS);
      return undefined;
    }
    await access.know(userId);
    const principal = { ...userPrincipal({ ...user, organizationId }, id), ...(tokenScope === undefined ? {} : { tokenScope }) };
    this.#rights = access.of(principal);
    return principal;
  }

  /** Tells what Alexa does not know of the device's endpoints. */
  async #report(deviceId: string): Promise<void> {
    const { db } = this.#context;
    const device = this.#following?.home.get(deviceId);
    if (!device) return;
    const facts = (await readHomeFacts(db, this.grant.organizationId, deviceId)).get(deviceId);
    if (!facts) return;
    for (const endpoint of visibleEndpoints(device, facts, this.#rights)) {
      const known = this.#told?.get(endpoint.description.endpointId);
      if (!known) continue;
      await this.#reportEndpoint(endpoint, facts, known);
    }
  }

  async #reportEndpoint(endpoint: DeviceEndpoint, facts: HomeFacts, known: ToldEndpoint): Promise<void> {
    const { device, part, description } = endpoint;
    const endpointId = description.endpointId;
    const properties = propertiesOf(endpoint, facts, this.#context.clock());
    const { changed, others, isSlow } = differenceOf(properties, known.state);
    // A light that tells its colour for the first time is another endpoint than before.
    if (changed.some(({ namespace }) => namespace === "Alexa.ColorTemperatureController") && known.state[COLOR] === undefined)
      this.#isSynced = false;
    if (changed.length === 0) return;
    const quietUntil = this.#slowUntil.get(endpointId) ?? 0;
    if (isSlow && performance.now() < quietUntil) {
      return this.#noteAt(device.id, quietUntil);
    }
    const change = { cause: { type: causeOf(part, changed, facts) }, properties: changed };
    await this.#send("ChangeReport", (token) =>
      alexaEvent({ name: "ChangeReport", endpointId, token, payload: { change }, properties: [...others] as never }),
    );
    if (isSlow) this.#slowUntil.set(endpointId, performance.now() + SLOW_GAP_MS);
    await this.#tell([{ ...known, state: toldOf(properties) }]);
  }

  async #tell(endpoints: readonly ToldEndpoint[]): Promise<void> {
    await inTransaction(this.#context.db, (trx) => putTold(trx, this.grant, endpoints));
    for (const one of endpoints) this.#told?.set(one.id, one);
  }

  /** A message that Amazon refuses is not sent again, and told of. */
  async #send(event: string, make: (token: string) => AlexaEvent): Promise<void> {
    const { amazon, watch, log } = this.#context;
    const { signal } = this.#closing;
    try {
      await this.#tokens.use((token) => amazon.send(make(token), token, signal));
      watch.count("alexa", "sent");
      this.#failures = 0;
      if (this.#status !== "connected") await this.#note("connected", null);
    } catch (error) {
      if (!(error instanceof AmazonError) || error.kind !== "refused") throw error;
      watch.count("alexa", "refused");
      log.warn({ grant_id: this.grant.id, event, code: error.code }, "Amazon refused a message");
      await this.#note("connected", error);
    }
  }
}

const COLOR = "Alexa.ColorTemperatureController colorTemperatureInKelvin";

const hashOf = (description: Description): string => createHash("sha256").update(canonicalJson(description)).digest("base64url");

export function discoveryEvent(
  name: "AddOrUpdateReport" | "DeleteReport",
  { endpoints, scope: token }: { readonly endpoints: readonly object[]; readonly scope: string },
): AlexaEvent {
  return alexaEvent({ namespace: "Alexa.Discovery", name, payload: { endpoints, scope: { type: "BearerToken", token } } });
}
