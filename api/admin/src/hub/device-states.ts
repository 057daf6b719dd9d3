import { useEffect } from "react";
import type { MqttMessage } from "./mqtt.ts";
import { queries } from "./queries.ts";
import type { components } from "./schema.d.ts";

type Detail = components["schemas"]["DeviceDetail"];
type Light = Detail["state"]["lights"][number];

/** Many at once are drawn once. */
const GATHER_MS = 100;

/**
 * Presence of the devices that a page shows, and the outputs of the one that it is about, as the broker tells of them. Without MQTT they
 * come as everything does that changes: with the stream of events (live.ts).
 */
export function useDeviceStates(uid?: string): void {
  useEffect(() => {
    let isOver = false;
    let leave: (() => void)[] = [];
    const gathered = gather();
    const start = async (): Promise<void> => {
      const { mqtt } = await import("./mqtt.ts");
      if (isOver) return;
      // What holds by now the hub has said already.
      leave = filtersOf(uid).map((filter) => mqtt.subscribe(filter, { onMessage: gathered.take, skipsRetained: true }));
    };
    start().catch(() => undefined);
    return () => {
      isOver = true;
      for (const one of leave) one();
      gathered.end();
    };
  }, [uid]);
}

/** The root of all topics is another one on every hub. */
function filtersOf(uid: string | undefined): string[] {
  return uid === undefined ? ["+/+/availability"] : [`+/${uid}/availability`, `+/${uid}/relay/+/state`, `+/${uid}/light/+/state`];
}

function gather(): { readonly take: (message: MqttMessage) => void; readonly end: () => void } {
  const messages = new Map<string, string>();
  const decoder = new TextDecoder();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const draw = (): void => {
    timer = undefined;
    apply(messages);
    messages.clear();
  };
  return {
    take({ topic, payload }) {
      // Of a device that was removed.
      if (payload.length === 0) return;
      messages.set(topic, decoder.decode(payload));
      timer ??= setTimeout(draw, GATHER_MS);
    },
    end: () => clearTimeout(timer),
  };
}

function apply(messages: ReadonlyMap<string, string>): void {
  const presences = new Map<string, string>();
  for (const [topic, text] of messages) {
    const [, uid = "", group = "", index = ""] = topic.split("/");
    if (group === "availability") presences.set(uid, text);
    else
      queries.setQueryData<Detail>(["devices", "one", uid], (known) => known && withOutput(known, { group, index: Number(index) }, text));
  }
  if (presences.size > 0) queries.setQueriesData({ queryKey: ["devices"] }, (known: unknown) => withPresence(known, presences));
}

function withOutput(detail: Detail, { group, index }: { readonly group: string; readonly index: number }, text: string): Detail {
  const { relays, lights } = detail.state;
  const replaced = <T extends { readonly index: number }>(all: readonly T[], one: T): T[] =>
    [...all.filter((other) => other.index !== index), one].toSorted((a, b) => a.index - b.index);
  if (group === "relay") return { ...detail, state: { lights, relays: replaced(relays, { index, state: text === "ON" ? "ON" : "OFF" }) } };
  const light = { ...(JSON.parse(text) as Omit<Light, "index">), index };
  return { ...detail, state: { relays, lights: replaced(lights, light) } };
}

/** In whatever shape a page has asked for devices: one, a list, or pages of them. What stays as it is stays the same object. */
function withPresence(known: unknown, presences: ReadonlyMap<string, string>): unknown {
  if (Array.isArray(known)) {
    const items = known.map((item) => withPresence(item, presences));
    return items.some((item, at) => item !== known[at]) ? items : known;
  }
  if (typeof known !== "object" || known === null) return known;
  if ("connection_status" in known && "uid" in known) {
    const presence = presences.get(String(known.uid));
    return presence === undefined || presence === known.connection_status ? known : { ...known, connection_status: presence };
  }
  for (const part of ["pages", "data", "device"] as const) {
    if (!(part in known)) continue;
    const before = (known as Record<string, unknown>)[part];
    const after = withPresence(before, presences);
    return after === before ? known : { ...known, [part]: after };
  }
  return known;
}
