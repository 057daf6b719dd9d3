import { once } from "node:events";
import { hostname } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import { HubError } from "../../core/errors.ts";
import { HUB_TOPICS } from "../../core/hub-topics.ts";
import type { BridgeState } from "../../core/smart-home.ts";
import { countDiscoveries } from "../../store/home-assistant.ts";
import { listOrganizations } from "../../store/organizations.ts";
import { nobodyHasIt, openAtDuty } from "../at-duty.ts";
import type { SmartHomeContext } from "../open-bridges.ts";
import { Remote } from "./remote.ts";
import { remoteFaultOf } from "./remote-faults.ts";

/** The connection to a broker elsewhere. */
export interface RemoteBridge extends AsyncDisposable {
  /** undefined for the organisations that it is not for. */
  state(organizationId: string): Promise<BridgeState | undefined>;
  /** Takes everything back, until the hub starts again. Does nothing for the organisations that it is not for. */
  unlink(organizationId: string): Promise<void>;
}

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

/** One node of a cluster is connected; it connects by itself, and again whenever the connection ends. */
export function openRemote(context: SmartHomeContext): RemoteBridge {
  const { bus, calls, db, config, duties, clock, log, watch } = context;
  const self = { node: hostname(), broker: config.haMqttUrl };
  let known: Said = { organizationId: config.haMqttOrganization ?? null, status: "waiting", since: clock(), lastError: null, ...self };
  let hasDuty = false;
  /** What was unlinked: whichever node has the duty next takes back what is left. */
  const left = new Set<string>();
  const stack = new AsyncDisposableStack();
  const atDuty = openAtDuty(calls, { duty: "home-assistant-remote", isHere: () => hasDuty, works: { state: async () => known } });
  stack.use(atDuty);
  const leaverOf = (payload: Buffer): string => (JSON.parse(payload.toString()) as { organization_id: string }).organization_id;
  stack.use(bus.subscribe(HUB_TOPICS.homeAssistantLeave, (_topic, payload) => void left.add(leaverOf(payload))));
  stack.use(bus.subscribe(HUB_TOPICS.homeAssistantRemote, (_topic, payload) => void (known = JSON.parse(payload.toString()) as Said)));
  const say = (news: Partial<Said>): void => {
    const since = news.status === undefined || news.status === known.status ? known.since : clock();
    known = { ...known, ...news, since, ...self };
    const { organizationId, status, lastError } = known;
    if (organizationId !== null && status !== "off")
      watch.note({ bridge: "home_assistant", organizationId, broker: "remote" }, status, status === "failed" ? lastError : null);
    bus
      .publish({ topic: HUB_TOPICS.homeAssistantRemote, payload: JSON.stringify(known), qos: 1 })
      .catch((err: unknown) => log.error({ err }, "the other nodes could not be told of Home Assistant's broker"));
  };
  const failed = (error: unknown): void => {
    const { code, message } = error instanceof HubError ? error : remoteFaultOf(error);
    if (known.status !== "failed" || known.lastError?.code !== code)
      log.warn({ code, reason: message }, "Home Assistant's broker cannot be reached");
    say({ status: "failed", lastError: { at: clock(), code, message } });
  };
  const work = async (signal: AbortSignal): Promise<void> => {
    hasDuty = true;
    try {
      const organizationId = await organizationOf(context);
      // Another node was connected; this one is not yet.
      say({ organizationId, status: known.status === "connected" ? "waiting" : known.status });
      await using remote = await Remote.start(context, organizationId, {
        onConnected: (isConnected) => {
          if (isConnected) say({ status: "connected" });
          else if (known.status === "connected") say({ status: "waiting" });
        },
        onError: failed,
      });
      using _resent = bus.subscribe(HUB_TOPICS.homeAssistantWork, (_topic, payload) => {
        const asked = JSON.parse(payload.toString()) as { organization_id: string; is_all: boolean };
        if (asked.is_all && asked.organization_id === organizationId) remote.resend();
      });
      using _left = bus.subscribe(HUB_TOPICS.homeAssistantLeave, (_topic, payload) => {
        if (leaverOf(payload) === organizationId) remote.leave();
      });
      if (left.has(organizationId)) remote.leave();
      if (!signal.aborted) await once(signal, "abort");
    } catch (error) {
      failed(error);
    } finally {
      hasDuty = false;
    }
    const { organizationId } = known;
    if (signal.aborted && organizationId !== null) watch.forget({ bridge: "home_assistant", organizationId, broker: "remote" });
  };
  stack.use(duties.hold("home-assistant-remote", work));
  return {
    async state(organizationId) {
      if ((await ownerOf(known)) !== organizationId) return undefined;
      const { status, since, lastError, node, broker } =
        (await atDuty.ask("state", organizationId, ANSWER_MS))?.value ?? unattended(known, clock());
      const counts = await countDiscoveries(db, "remote", organizationId);
      return { status, since, lastError, counts, details: { broker, form: config.haMqttForm, node } };
    },
    async unlink(organizationId) {
      if ((await ownerOf(known)) !== organizationId) return;
      await bus.publish({ topic: HUB_TOPICS.homeAssistantLeave, payload: JSON.stringify({ organization_id: organizationId }), qos: 1 });
      for (const end = performance.now() + UNLINK_MS; (await countDiscoveries(db, "remote", organizationId)).messages > 0; ) {
        if (performance.now() > end)
          throw new HubError(
            "unavailable",
            "Home Assistant's broker has not taken all of it back yet: it goes on when the broker is there",
          );
        await pause(UNLINK_LOOK_MS);
      }
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };

  /** Also at a node that has not heard of it yet. */
  async function ownerOf({ organizationId: said }: Said): Promise<string | null> {
    return said ?? (await organizationOf(context).catch(() => null));
  }
}

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
