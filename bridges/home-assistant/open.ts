import type { Bridge, BridgeState, HomeAssistantControl } from "../../core/smart-home.ts";
import type { SmartHomeContext } from "../open-bridges.ts";
import { openDirect } from "./direct.ts";

/** Home Assistant, which comes to the hub's own broker, or is told on one elsewhere, or both. */
export async function openHomeAssistant(context: SmartHomeContext): Promise<Bridge & HomeAssistantControl & AsyncDisposable> {
  const stack = new AsyncDisposableStack();
  const direct = stack.use(openDirect(context));
  // Its MQTT client is nobody's memory where there is no broker elsewhere.
  const remote = context.config.haMqttEnabled ? stack.use(new (await import("./remote-bridge.ts")).RemoteBridge(context)) : undefined;
  return {
    name: "home_assistant",
    async state(organizationId) {
      const [own, elsewhere] = await Promise.all([direct.state(organizationId), remote?.state(organizationId)]);
      return elsewhere ? bothOf(own, elsewhere) : own;
    },
    async resend(organizationId) {
      if (await remote?.state(organizationId)) await direct.tellAll(organizationId);
      else await direct.resend(organizationId);
    },
    async unlink(organizationId) {
      await direct.unlink(organizationId);
      await remote?.unlink(organizationId);
    },
    changed: (organizationId) => direct.changed(organizationId),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** Whatever is wrong with either comes first. */
function bothOf(own: BridgeState, elsewhere: BridgeState): BridgeState {
  const { status, since, counts, details } = elsewhere;
  const remote = { status, since: since === null ? null : new Date(since).toISOString(), counts, ...details };
  if (own.status === "off") return { ...elsewhere, details: { remote } };
  const first = own.status === "failed" || elsewhere.status !== "failed" ? own : elsewhere;
  return {
    ...own,
    status: first.status,
    since: first.since,
    lastError: own.lastError ?? elsewhere.lastError,
    details: { ...own.details, remote },
  };
}
