import type { components } from "../../hub/schema.d.ts";

type Event = components["schemas"]["Event"];

/** What an event says of itself, in the order in which it tells a person the most. */
const NAMES = ["name", "title", "uid", "device_uid", "command", "status", "reason"] as const;
const MOST = 3;

export function subjectOf({ data }: Pick<Event, "data">): string {
  const texts = NAMES.flatMap((name) => (typeof data[name] === "string" ? [data[name]] : []));
  return [...new Set(texts)].slice(0, MOST).join(" · ");
}
