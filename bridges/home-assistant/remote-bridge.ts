import { once } from "node:events";
import { hostname } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import type { BridgeLink } from "../../core/bridge-event.ts";
import { HubError } from "../../core/errors.ts";
import { HUB_TOPICS } from "../../core/hub-topics.ts";
import type { BridgeState } from "../../core/smart-home.ts";
import { countDiscoveries } from "../../store/home-assistant.ts";
import { listOrganizations } from "../../store/organizations.ts";
import { type AtDuty, nobodyHasIt, openAtDuty } from "../at-duty.ts";
import type { SmartHomeContext } from "../open-bridges.ts";
import { Remote } from "./remote.ts";
import { remoteFaultOf } from "./remote-faults.ts";

/** As the nodes tell each other. */
interface Said {
  readonly organizationId: string | null;
  readonly status: BridgeState["status"];
  readonly since: number | null;
  readonly lastError: BridgeState["lastError"];
  /** Which of them it is, and its broker. */
  readonly node: string;
  readonly broker: string | undefined;
}

const ANSWER_MS = 1_000;
const UNLINK_MS = 10_000;
const UNLINK_LOOK_MS = 20;

/** The connection to a broker elsewhere. One node of a cluster has it; it connects by itself, and again whenever the connection ends. */
export class RemoteBridge implements AsyncDisposable {
  readonly #context: SmartHomeContext;
  readonly #self: Pick<Said, "node" | "broker">;
  /** What was unlinked: whichever node has the duty next takes back what is left. */
  readonly #left = new Set<string>();
  readonly #atDuty: AtDuty<{ readonly state: () => Promise<Said> }>;
  readonly #stack = new AsyncDisposableStack();
  #known: Said;
  #hasDuty = false;

  constructor(context: SmartHomeContext) {
    this.#context = context;
    const { bus, calls, config, clock, duties } = context;
    this.#self = { node: hostname(), broker: config.haMqttUrl };
    this.#known = { organizationId: config.haMqttOrganization ?? null, status: "waiting", since: clock(), lastError: null, ...this.#self };
    this.#atDuty = this.#stack.use(
      openAtDuty(calls, { duty: "home-assistant-remote", isHere: () => this.#hasDuty, works: { state: async () => this.#known } }),
    );
    this.#stack.use(bus.subscribe(HUB_TOPICS.homeAssistantLeave, (_topic, payload) => void this.#left.add(leaverOf(payload))));
    this.#stack.use(
      bus.subscribe(HUB_TOPICS.homeAssistantRemote, (_topic, payload) => void (this.#known = JSON.parse(payload.toString()) as Said)),
    );
    this.#stack.use(duties.hold("home-assistant-remote", (signal) => this.#serve(signal)));
  }

  /** undefined for the organisations that it is not for. */
  async state(organizationId: string): Promise<BridgeState | undefined> {
    const { db, config, clock } = this.#context;
    if ((await this.#owner()) !== organizationId) return undefined;
    const { status, since, lastError, node, broker } =
      (await this.#atDuty.ask("state", organizationId, ANSWER_MS))?.value ?? unattended(this.#known, clock());
    const counts = await countDiscoveries(db, "remote", organizationId);
    return { status, since, lastError, counts, details: { broker, form: config.haMqttForm, node } };
  }

  /** Takes everything back, until the hub starts again. Does nothing for the organisations that it is not for. */
  async unlink(organizationId: string): Promise<void> {
    const { db, bus } = this.#context;
    if ((await this.#owner()) !== organizationId) return;
    await bus.publish({ topic: HUB_TOPICS.homeAssistantLeave, payload: JSON.stringify({ organization_id: organizationId }), qos: 1 });
    for (const end = performance.now() + UNLINK_MS; (await countDiscoveries(db, "remote", organizationId)).messages > 0; ) {
      if (performance.now() > end)
        throw new HubError("unavailable", "Home Assistant's broker has not taken all of it back yet: it goes on when the broker is there");
      await pause(UNLINK_LOOK_MS);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }

  /** For as long as this node has the duty. */
  async #serve(signal: AbortSignal): Promise<void> {
    this.#hasDuty = true;
    try {
      await this.#connect(signal);
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#hasDuty = false;
    }
    const { organizationId } = this.#known;
    if (signal.aborted && organizationId !== null) this.#context.watch.forget(linkOf(organizationId));
  }

  async #connect(signal: AbortSignal): Promise<void> {
    const { bus } = this.#context;
    const organizationId = await organizationOf(this.#context);
    // Another node was connected; this one is not yet.
    this.#say({ organizationId, status: this.#known.status === "connected" ? "waiting" : this.#known.status });
    await using remote = await Remote.start(this.#context, organizationId, {
      onConnected: (isConnected) => {
        if (isConnected) this.#say({ status: "connected" });
        else if (this.#known.status === "connected") this.#say({ status: "waiting" });
      },
      onError: (error) => this.#fail(error),
    });
    using _resent = bus.subscribe(HUB_TOPICS.homeAssistantWork, (_topic, payload) => {
      const asked = JSON.parse(payload.toString()) as { organization_id: string; is_all: boolean };
      if (asked.is_all && asked.organization_id === organizationId) remote.resend();
    });
    using _left = bus.subscribe(HUB_TOPICS.homeAssistantLeave, (_topic, payload) => {
      if (leaverOf(payload) === organizationId) remote.leave();
    });
    if (this.#left.has(organizationId)) remote.leave();
    if (!signal.aborted) await once(signal, "abort");
  }

  #say(news: Partial<Said>): void {
    const { bus, clock, log, watch } = this.#context;
    const since = news.status === undefined || news.status === this.#known.status ? this.#known.since : clock();
    this.#known = { ...this.#known, ...news, since, ...this.#self };
    const { organizationId, status, lastError } = this.#known;
    if (organizationId !== null && status !== "off") watch.note(linkOf(organizationId), status, status === "failed" ? lastError : null);
    bus
      .publish({ topic: HUB_TOPICS.homeAssistantRemote, payload: JSON.stringify(this.#known), qos: 1 })
      .catch((err: unknown) => log.error({ err }, "the other nodes could not be told of Home Assistant's broker"));
  }

  #fail(error: unknown): void {
    const { clock, log } = this.#context;
    const { code, message } = error instanceof HubError ? error : remoteFaultOf(error);
    if (this.#known.status !== "failed" || this.#known.lastError?.code !== code)
      log.warn({ code, reason: message }, "Home Assistant's broker cannot be reached, or does not take all that it is told");
    this.#say({ status: "failed", lastError: { at: clock(), code, message } });
  }

  /** Also at a node that has not heard of it yet. */
  async #owner(): Promise<string | null> {
    return this.#known.organizationId ?? (await organizationOf(this.#context).catch(() => null));
  }
}

const linkOf = (organizationId: string): BridgeLink => ({ bridge: "home_assistant", organizationId, broker: "remote" });

const leaverOf = (payload: Buffer): string => (JSON.parse(payload.toString()) as { organization_id: string }).organization_id;

/** No node is connected. What was wrong before still is. */
function unattended(known: Said, at: number): Said {
  if (known.status === "failed") return known;
  const { code, message } = nobodyHasIt("the connection to Home Assistant's broker");
  return { ...known, status: "waiting", since: known.status === "waiting" ? known.since : null, lastError: { at, code, message } };
}

/** Throws where nobody said which one it is. */
async function organizationOf({ db, config }: SmartHomeContext): Promise<string> {
  const { haMqttOrganization: wanted } = config;
  const all = await listOrganizations(db, wanted === undefined ? undefined : [wanted]);
  const [only] = all;
  if (only && all.length === 1) return only.id;
  throw new HubError(
    "conflict",
    wanted === undefined
      ? `the hub has ${all.length} organisations: HA_MQTT_ORGANIZATION has to say which one Home Assistant is told of`
      : "HA_MQTT_ORGANIZATION is no organisation of the hub",
  );
}
