import { createHash } from "node:crypto";
import type { HomeAssistantGhost, PublishedDiscovery } from "../../store/home-assistant.ts";
import { type Discovery, MIGRATION, withRemoved } from "./discovery.ts";

/** What brings the broker from what it was told of a device to what it shall be told. */
export interface Plan {
  /** In this order; an empty payload takes the topic back. */
  readonly steps: readonly { readonly topic: string; readonly payload: string }[];
  /** What may be there while the steps are under way: to be remembered before the first of them. */
  readonly meanwhile: readonly PublishedDiscovery[];
  /** What is there after the last. */
  readonly put: readonly PublishedDiscovery[];
  readonly deleted: readonly string[];
  /** What a Home Assistant that is away does not hear of. */
  readonly ghosts: readonly HomeAssistantGhost[];
}

/** `told` and `wanted` are of one device, which is the organisation's. undefined when nothing is to be done. */
export function planOf(organizationId: string, told: readonly PublishedDiscovery[], wanted: readonly Discovery[]): Plan | undefined {
  const before = new Map(told.map((one) => [one.topic, one]));
  const topics = new Set(wanted.map(({ topic }) => topic));
  const leaving = told.filter(({ topic }) => !topics.has(topic));
  const form = wanted[0]?.form;
  const fresh = wanted
    .map((one) => ({ one, old: before.get(one.topic), digest: digestOf(one.payload) }))
    .filter(({ old, digest }) => old?.digest !== digest);
  if (leaving.length === 0 && fresh.length === 0) return undefined;

  const migrating = leaving.filter((one) => form !== undefined && one.form !== form);
  const steps = [
    ...migrating.map(({ topic }) => ({ topic, payload: MIGRATION })),
    ...fresh.flatMap(({ one, old }) => {
      const removed = old?.form === "device" ? removedFrom(old, one) : {};
      const { topic, payload } = one;
      return Object.keys(removed).length === 0
        ? [{ topic, payload }]
        : [
            { topic, payload: withRemoved(one, removed) },
            { topic, payload },
          ];
    }),
    ...leaving.map(({ topic }) => ({ topic, payload: "" })),
  ];
  return {
    steps,
    meanwhile: [
      ...fresh.map(({ one, old }) => ({ ...rowOf(one, null), components: { ...one.components, ...old?.components } })),
      ...leaving.map((one) => ({ ...one, digest: null })),
    ],
    put: fresh.map(({ one, digest }) => rowOf(one, digest)),
    deleted: leaving.map(({ topic }) => topic),
    ghosts: ghostsOf(told, wanted),
  };

  function rowOf({ topic, uid, form: itsForm, components }: Discovery, digest: string | null): PublishedDiscovery {
    return { topic, organizationId, uid, form: itsForm, components, digest };
  }
}

/** Gone, or another platform's by now. */
function removedFrom(old: PublishedDiscovery, { components }: Discovery): Record<string, string> {
  return Object.fromEntries(Object.entries(old.components).filter(([key, platform]) => components[key] !== platform));
}

const digestOf = (payload: string): string => createHash("sha256").update(payload).digest("base64url");

/** Whatever the form: what is told of in another one is the same thing. */
function ghostsOf(told: readonly PublishedDiscovery[], wanted: readonly Discovery[]): HomeAssistantGhost[] {
  const there = new Map(wanted.flatMap(({ components }) => Object.entries(components)));
  return told.flatMap(({ topic, organizationId, uid, form, components }) =>
    Object.entries(components)
      .filter(([key, platform]) => there.get(key) !== platform)
      .map(([key, platform]) => ({ topic, organizationId, uid, form, key, platform })),
  );
}
