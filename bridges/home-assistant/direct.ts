import { setTimeout as pause } from "node:timers/promises";
import type { BridgeLink } from "../../core/bridge-event.ts";
import { HubError } from "../../core/errors.ts";
import { HUB_TOPICS } from "../../core/hub-topics.ts";
import type { Bridge, BridgeState, HomeAssistantControl, HomeDevice } from "../../core/smart-home.ts";
import { findAccessToken } from "../../store/access-tokens.ts";
import {
  countDiscoveries,
  findHomeAssistantAccount,
  forgetDigests,
  forgetHeardGhosts,
  type HomeAssistantAccount,
  noteHomeAssistantStatus,
  readHomeAssistantAccounts,
  removeUnlinkedAccount,
  unlinkHomeAssistant,
} from "../../store/home-assistant.ts";
import type { Following, HomeDirectory } from "../../store/home-directory.ts";
import type { SmartHomeContext } from "../open-bridges.ts";
import type { DiscoveryForm, DiscoveryPlace } from "./discovery.ts";
import { Published } from "./published.ts";

/** After its birth Home Assistant has a lot to do, and so have all others that were waiting for it. */
const BIRTH_PAUSE_MS = { least: 200, most: 1_500 };
const RETRY_MS = 1_000;
/** Missed words of other nodes, and accounts of organisations that are gone, are noticed by then. */
const LOOK_AGAIN_MS = 60_000;
const UNLINK_MS = 10_000;
const UNLINK_LOOK_MS = 20;

export interface Direct extends Bridge, HomeAssistantControl, AsyncDisposable {
  /** As `resend`, whether or not there is an account. */
  tellAll(organizationId: string): Promise<void>;
}

/** Home Assistant on the hub's own broker: what every organisation with an account for it is told. One node tells it. */
export function openDirect(context: SmartHomeContext): Direct {
  const { bus, db, duties, clock, log } = context;
  const stack = new AsyncDisposableStack();
  stack.use(bus.subscribe(HUB_TOPICS.homeAssistant, (_topic, payload) => void noteStatus(context, statusOf(payload))));
  const work = async (organizationId: string, isAll: boolean): Promise<void> =>
    await bus.publish({
      topic: HUB_TOPICS.homeAssistantWork,
      payload: JSON.stringify({ organization_id: organizationId, is_all: isAll }),
      qos: 1,
    });
  const tellAll = async (organizationId: string): Promise<void> => {
    // A node that tells from now on finds it there, whether or not one heard the word.
    await forgetDigests(db, "own", organizationId);
    await work(organizationId, true);
  };
  stack.use(
    duties.hold("home-assistant", async (signal) => {
      await using teller = await Teller.start(context);
      await teller.run(signal).catch((error: unknown) => {
        if (!signal.aborted) throw error;
      });
    }),
  );
  return {
    name: "home_assistant",
    async state(organizationId) {
      const account = await findHomeAssistantAccount(db, organizationId);
      return account && !account.isUnlinked ? await stateOf(context, account) : OFF;
    },
    async resend(organizationId) {
      const account = await findHomeAssistantAccount(db, organizationId);
      if (!account || account.isUnlinked) throw new HubError("conflict", "there is no account for Home Assistant: make one first");
      await tellAll(organizationId);
    },
    async unlink(organizationId) {
      if (!(await unlinkHomeAssistant(db, organizationId, clock()))) return;
      await work(organizationId, false);
      for (const end = performance.now() + UNLINK_MS; (await findHomeAssistantAccount(db, organizationId))?.isUnlinked === true; ) {
        if (performance.now() > end) throw new HubError("unavailable", "it is being taken back, which takes longer than usual: ask again");
        await pause(UNLINK_LOOK_MS);
      }
    },
    tellAll,
    changed: (organizationId) => work(organizationId, false),
    async [Symbol.asyncDispose]() {
      await stack.disposeAsync();
      log.debug({}, "the bridge to Home Assistant has ended");
    },
  };
}

interface Status {
  readonly organizationId: string;
  readonly status: string;
}

function statusOf(payload: Buffer): Status {
  const { organization_id: organizationId, status } = JSON.parse(payload.toString()) as { organization_id: string; status: string };
  return { organizationId, status };
}

/** By every node that hears it, since none may be telling at the moment. Whether the organisation has an account. */
async function noteStatus({ db, clock, log }: SmartHomeContext, { organizationId, status }: Status): Promise<boolean> {
  if (status !== "online" && status !== "offline") return false;
  try {
    return await noteHomeAssistantStatus(db, organizationId, status, clock());
  } catch (err) {
    log.error({ err, organizationId }, "what Home Assistant says of itself could not be stored");
    return false;
  }
}

const OFF: BridgeState = { status: "off", since: null, lastError: null, counts: {}, details: {} };

async function stateOf({ db }: SmartHomeContext, account: HomeAssistantAccount): Promise<BridgeState> {
  const { organizationId, form, status, statusAt, accessTokenId: id } = account;
  const scope = { kind: "organization", organizationId } as const;
  const token = id === null ? undefined : await findAccessToken(db, scope, { id });
  const isValid = token !== undefined && token.revokedAt === null;
  return {
    status: isValid ? (status === "online" ? "connected" : "waiting") : "failed",
    since: statusAt,
    lastError: isValid
      ? null
      : { at: Date.parse(token?.revokedAt ?? "") || 0, code: "unauthorized", message: "its account was revoked: make it again" },
    counts: await countDiscoveries(db, "own", organizationId),
    details: { form, username: isValid ? token.name : null },
  };
}

const LINK_STATUS = { online: "connected", offline: "waiting" } as const;
const linkOf = (organizationId: string): BridgeLink => ({ bridge: "home_assistant", organizationId, broker: "own" });

interface Served {
  readonly form: DiscoveryForm;
  readonly following: Following;
}

/** The one that tells: it has the duty. */
class Teller implements AsyncDisposable {
  readonly #context: SmartHomeContext;
  readonly #published: Published;
  readonly #stack = new AsyncDisposableStack();
  readonly #served = new Map<string, Served>();
  /** Whose devices have to be gone through. */
  readonly #waiting = new Set<string>();
  readonly #births = new Map<string, NodeJS.Timeout>();
  /** Whose Home Assistant has come back since they were gone through. */
  readonly #born = new Set<string>();
  /** Whose Home Assistant may have come back while no node told. */
  readonly #unsure = new Set<string>();
  /** Whose link is watched. */
  readonly #watched = new Set<string>();
  #wake = Promise.withResolvers<void>();

  private constructor(context: SmartHomeContext, published: Published) {
    this.#context = context;
    this.#published = published;
  }

  static async start(context: SmartHomeContext): Promise<Teller> {
    const { bus, db, clock, watch } = context;
    const published = await Published.load({
      db,
      broker: "own",
      async publish(topic, payload) {
        await bus.publish({ topic, payload, qos: 1, retain: true });
        watch.count("home_assistant", "sent");
        return true;
      },
      say: (topic, payload) => bus.publish({ topic, payload, qos: 1 }),
      clock,
    });
    const teller = new Teller(context, published);
    teller.#listen();
    return teller;
  }

  /** Until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { log, watch } = this.#context;
    const stop = (): void => this.#wake.resolve();
    signal.addEventListener("abort", stop);
    try {
      await this.#lookAgain();
      for (const organizationId of this.#waiting) this.#unsure.add(organizationId);
      while (!signal.aborted) {
        const [organizationId] = this.#waiting;
        if (organizationId === undefined) {
          await this.#wake.promise;
          this.#wake = Promise.withResolvers();
          continue;
        }
        this.#waiting.delete(organizationId);
        try {
          await this.#serve(organizationId, signal);
        } catch (err) {
          log.error({ err, organizationId }, "Home Assistant could not be told of all devices; it is tried again");
          watch.count("home_assistant", "retried");
          this.#waiting.add(organizationId);
          await pause(RETRY_MS, undefined, { signal, ref: false }).catch(() => undefined);
        }
      }
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { config, watch } = this.#context;
    for (const organizationId of this.#watched) watch.forget(linkOf(organizationId));
    for (const timer of this.#births.values()) clearTimeout(timer);
    await this.#stack.disposeAsync();
    for (const { following } of this.#served.values()) following[Symbol.dispose]();
    // Of several nodes the others go on.
    if (config.redisUrl === undefined) await Promise.all([...this.#served.keys()].map((id) => this.#sayAvailable(id, "offline")));
  }

  #listen(): void {
    const { bus, log, watch } = this.#context;
    this.#stack.use(watch.queue("home_assistant", () => this.#waiting.size));
    const again = setInterval(() => {
      this.#lookAgain().catch((err: unknown) => log.error({ err }, "the accounts of Home Assistant could not be read"));
    }, LOOK_AGAIN_MS).unref();
    this.#stack.defer(() => clearInterval(again));
    this.#stack.use(
      bus.subscribe(HUB_TOPICS.homeAssistantWork, (_topic, payload) => {
        const { organization_id: id, is_all } = JSON.parse(payload.toString()) as { organization_id: string; is_all: boolean };
        if (is_all) this.#published.forget(id);
        this.#note(id);
      }),
    );
    this.#stack.use(
      bus.subscribe(HUB_TOPICS.homeAssistant, (_topic, payload) => {
        const { organizationId, status } = statusOf(payload);
        if (status === "online" || status === "offline") this.#heard(organizationId, status);
      }),
    );
  }

  /** It said that it is there, or is not any more; also one that is not served yet: it may be quicker than the word of its account. */
  #heard(organizationId: string, status: "online" | "offline"): void {
    const { log, watch } = this.#context;
    void noteStatus(this.#context, { organizationId, status }).then((isLinked) => {
      if (isLinked) watch.note(this.#watch(organizationId), LINK_STATUS[status]);
    });
    clearTimeout(this.#births.get(organizationId));
    if (status === "offline") return;
    const { least, most } = BIRTH_PAUSE_MS;
    const born = (): void => {
      this.#births.delete(organizationId);
      this.#born.add(organizationId);
      if (this.#served.has(organizationId))
        this.#sayAvailable(organizationId, "online").catch((err: unknown) =>
          log.error({ err }, "the hub's availability could not be told"),
        );
      this.#note(organizationId);
    };
    this.#births.set(organizationId, setTimeout(born, least + Math.random() * (most - least)).unref());
  }

  #watch(organizationId: string): BridgeLink {
    this.#watched.add(organizationId);
    return linkOf(organizationId);
  }

  #note(organizationId: string): void {
    this.#waiting.add(organizationId);
    this.#wake.resolve();
  }

  /** Whoever has an account, and whoever had one and was told something. */
  async #lookAgain(): Promise<void> {
    await forgetHeardGhosts(this.#context.db, this.#context.clock());
    const accounts = await readHomeAssistantAccounts(this.#context.db);
    for (const { organizationId, status } of accounts)
      if (!this.#watched.has(organizationId)) this.#context.watch.know(this.#watch(organizationId), LINK_STATUS[status ?? "offline"]);
    const all = [...accounts.map(({ organizationId }) => organizationId), ...this.#published.organizations(), ...this.#served.keys()];
    for (const organizationId of new Set(all)) this.#note(organizationId);
  }

  async #serve(organizationId: string, signal: AbortSignal): Promise<void> {
    const { db, homes, sessions, clock } = this.#context;
    const account = await findHomeAssistantAccount(db, organizationId);
    const devices = account && !account.isUnlinked ? await this.#follow(homes, account) : undefined;
    const place = this.#placeOf(organizationId, account?.form ?? "device");
    await this.#published.reconcile(organizationId, devices ?? [], place, signal);
    if (devices) return await this.#letGo(organizationId, devices, place);
    await this.#leave(organizationId);
    if (!account || signal.aborted) return;
    const ended = await removeUnlinkedAccount(db, organizationId, clock());
    if (ended !== undefined) await sessions.disconnect({ credentialIds: [ended] }, "revoked");
  }

  /** A Home Assistant that has come back lets go of what went meanwhile. Whether one has heard it is known of a birth alone. */
  async #letGo(organizationId: string, devices: readonly HomeDevice[], place: DiscoveryPlace): Promise<void> {
    const isBorn = this.#born.delete(organizationId);
    if (!isBorn && !this.#unsure.has(organizationId)) return;
    try {
      await this.#published.banish(organizationId, devices, place);
      if (isBorn) await this.#published.forgetGhosts(organizationId);
      this.#unsure.delete(organizationId);
    } catch (error) {
      if (isBorn) this.#born.add(organizationId);
      throw error;
    }
  }

  /** The devices that are to be seen. */
  async #follow(homes: HomeDirectory, { organizationId, form }: HomeAssistantAccount): Promise<HomeDevice[]> {
    let served = this.#served.get(organizationId);
    if (served?.form !== form) {
      const following = served?.following ?? (await homes.follow(organizationId, () => this.#note(organizationId)));
      if (!served) await this.#sayAvailable(organizationId, "online");
      served = { form, following };
      this.#served.set(organizationId, served);
    }
    return [...served.following.home.values()].filter(({ exposure }) => exposure.home_assistant);
  }

  async #leave(organizationId: string): Promise<void> {
    this.#served.get(organizationId)?.following[Symbol.dispose]();
    this.#served.delete(organizationId);
    this.#context.watch.forget(linkOf(organizationId));
    this.#watched.delete(organizationId);
    clearTimeout(this.#births.get(organizationId));
    this.#born.delete(organizationId);
    // A run that died may have said it.
    await this.#sayAvailable(organizationId, "");
  }

  async #sayAvailable(organizationId: string, payload: "online" | "offline" | ""): Promise<void> {
    const { bus, topics } = this.#context;
    await bus.publish({ topic: topics.build({ kind: "hub_availability", organizationId }), payload, qos: 1, retain: true });
  }

  #placeOf(organizationId: string, form: DiscoveryForm): DiscoveryPlace {
    const { topics } = this.#context;
    return {
      topics,
      form,
      hubAvailability: topics.build({ kind: "hub_availability", organizationId }),
      topicOf: ({ uid }, component, part) =>
        topics.build({ kind: "ha_discovery", component, organizationId, uid, ...(part === undefined ? {} : { part }) }),
    };
  }
}
