import type { DeviceDirectory } from "../core/bus.ts";
import { inScope, type Principal, scopeOf } from "../core/principal.ts";
import { TOPICS, type Topic, type Topics } from "../core/topics.ts";

/** What every decision needs: the topic table's parser and which organisation a device is in. */
export interface Rights {
  readonly topics: Topics;
  readonly directory: DeviceDirectory;
}

/** What a client id, a session or a right is bound to: the account or device, whatever credential it came with. */
export const keyOf = (principal: Principal): string => `${principal.kind}:${principal.id}`;

/** Whether the client may publish there at all; what the payload asks for is checked later. */
export function mayPublish({ directory }: Rights, principal: Principal, topic: Topic): boolean {
  const { publish } = TOPICS[topic.kind];
  switch (publish) {
    case "device":
      return principal.kind === "device" && "uid" in topic && principal.uid === topic.uid;
    case "control":
      return principal.kind !== "device" && "uid" in topic && seesDevice(directory, principal, topic.uid);
    case "members":
      return principal.kind !== "device" && "organizationId" in topic && inScope(scopeOf(principal), topic.organizationId);
    case "service":
      return principal.kind === "service";
    case "nobody":
      return false;
  }
}

/** Whether a message on this topic may be handed to the client: asked for every delivery, retained and queued ones too. */
export function mayReceive({ directory }: Rights, principal: Principal, topic: Topic): boolean {
  const { subscribe } = TOPICS[topic.kind];
  if (principal.kind === "device") return subscribe === "device" && "uid" in topic && principal.uid === topic.uid;
  switch (subscribe) {
    case "device":
    case "nobody":
      return false;
    case "members":
      if ("uid" in topic) return seesDevice(directory, principal, topic.uid);
      return !("organizationId" in topic) || inScope(scopeOf(principal), topic.organizationId);
    case "platform":
      return scopeOf(principal).kind === "platform";
    case "user":
      return topic.kind === "notification" && topic.userId === principal.id && inScope(scopeOf(principal), topic.organizationId);
  }
}

/**
 * Whether the filter may be subscribed. A device names its own down topics; everybody else may use wildcards, since
 * deliveries are filtered, but not name what is hidden from them: a missing device and a foreign one look the same.
 * The broker's statistics are the platform's.
 */
export function maySubscribe(rights: Rights, principal: Principal, filter: string): boolean {
  if (filter.startsWith("$")) return filter.startsWith("$SYS/") && principal.kind !== "device" && scopeOf(principal).kind === "platform";
  const { root } = rights.topics;
  const levels = filter.split("/");
  if (principal.kind === "device") {
    const [first, uid, group] = levels;
    return first === root && uid === principal.uid && group === "down" && levels.length === 4;
  }
  if (levels[0] === root && levels[1] !== undefined && !isWildcard(levels[1]))
    return levels.length > 2 && seesDevice(rights.directory, principal, levels[1]);
  if (levels[0] === `${root}-app` && levels[1] !== undefined && !isWildcard(levels[1])) return inScope(scopeOf(principal), levels[1]);
  return isWildcard(levels[0] as string) || levels[0] === root || levels[0] === `${root}-app` || levels[0] === "homeassistant";
}

/** Bytes. A filter is part of a key, and PostgreSQL's index rows end at 2.7 KB. */
const MAX_FILTER_BYTES = 1_024;

/** A filter that some packet could be matched by: wildcards stand alone in their level and # comes last. */
export function isValidFilter(filter: string): boolean {
  if (filter.length === 0 || Buffer.byteLength(filter) > MAX_FILTER_BYTES || hasControlCharacter(filter)) return false;
  const levels = filter.split("/");
  return levels.every((level, index) => (level === "#" ? index === levels.length - 1 : level === "+" || !/[+#]/.test(level)));
}

/** NUL is not allowed in MQTT's strings [MQTT-1.5.3-2], the others may be refused; PostgreSQL takes no text with NUL either. */
export const hasControlCharacter = (text: string): boolean => /\p{Cc}/u.test(text);

const isWildcard = (level: string): boolean => level === "+" || level === "#";

function seesDevice(directory: DeviceDirectory, principal: Exclude<Principal, { kind: "device" }>, uid: string): boolean {
  const device = directory.find(uid);
  return device !== undefined && inScope(scopeOf(principal), device.organizationId);
}
