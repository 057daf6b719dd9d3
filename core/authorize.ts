import type { AccessDirectory, DeviceDirectory } from "./bus.ts";
import { may, mayOn, maySomewhere, type Permission } from "./permissions.ts";
import { type Member, type Principal, tokenScopeOf } from "./principal.ts";
import { TOPICS, type Topic, type Topics } from "./topics.ts";

/** What every decision needs: the topic table's parser, which organisation a device is in, and who may do what there. */
export interface Rights {
  readonly topics: Topics;
  readonly directory: DeviceDirectory;
  readonly access: AccessDirectory;
}

/** Another one when something may be decided differently from before. */
export const versionOf = ({ directory, access }: Rights): number => directory.version + access.version;

/** What a client id, a session or a right is bound to: the account or device, whatever credential it came with. */
export const keyOf = (principal: Principal): string => `${principal.kind}:${principal.id}`;

/** Whether the client may publish there at all; what the payload asks for is checked later. */
export function mayPublish(rights: Rights, principal: Principal, topic: Topic): boolean {
  const { publish } = TOPICS[topic.kind];
  switch (publish) {
    case "device":
      return principal.kind === "device" && "uid" in topic && principal.uid === topic.uid;
    case "control":
      return principal.kind !== "device" && "uid" in topic && mayOnDevice(rights, principal, "device.control", topic.uid);
    case "members":
      return (
        principal.kind !== "device" && "organizationId" in topic && may(rights.access.of(principal), "bus.publish", topic.organizationId)
      );
    case "service":
      return principal.kind === "service" && may(rights.access.of(principal), "bus.publish", principal.organizationId);
    case "nobody":
      return false;
  }
}

/** Whether a message on this topic may be handed to the client: asked for every delivery, retained and queued ones too. */
export function mayReceive(rights: Rights, principal: Principal, topic: Topic): boolean {
  const { subscribe } = TOPICS[topic.kind];
  if (principal.kind === "device") return subscribe === "device" && "uid" in topic && principal.uid === topic.uid;
  switch (subscribe) {
    case "device":
    case "nobody":
      return false;
    case "members":
      if (topic.kind === "ha_discovery") return mayDiscover(rights, principal, topic);
      if ("uid" in topic) return mayOnDevice(rights, principal, "device.read", topic.uid);
      return "organizationId" in topic
        ? may(rights.access.of(principal), "device.read", topic.organizationId)
        : isMember(rights, principal, principal.organizationId);
    case "platform":
      return isPlatform(rights, principal);
    case "user":
      // They are about everything that the person may see: a token that is limited is not for them.
      return (
        topic.kind === "notification" &&
        topic.userId === principal.id &&
        tokenScopeOf(principal) === undefined &&
        isMember(rights, principal, topic.organizationId)
      );
  }
}

/**
 * Whether the filter may be subscribed. A device names its own down topics; everybody else may use wildcards, since
 * deliveries are filtered, but not name what is hidden from them: a missing device and a foreign one look the same.
 * The broker's statistics are the platform's.
 */
export function maySubscribe(rights: Rights, principal: Principal, filter: string): boolean {
  if (filter.startsWith("$")) return filter.startsWith("$SYS/") && principal.kind !== "device" && isPlatform(rights, principal);
  const { root } = rights.topics;
  const levels = filter.split("/");
  if (principal.kind === "device") {
    const [first, uid, group] = levels;
    return first === root && uid === principal.uid && group === "down" && levels.length === 4;
  }
  if (levels[0] === root && levels[1] !== undefined && !isWildcard(levels[1]))
    return levels.length > 2 && mayOnDevice(rights, principal, "device.read", levels[1]);
  if (levels[0] === `${root}-app` && levels[1] !== undefined && !isWildcard(levels[1])) return isMember(rights, principal, levels[1]);
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

function mayOnDevice({ directory, access }: Rights, principal: Member, permission: Permission, uid: string): boolean {
  const device = directory.find(uid);
  return device !== undefined && mayOn(access.of(principal), permission, device);
}

/** A device that has left has to be taken back from those who had it: the topic says who that is. */
function mayDiscover(rights: Rights, principal: Member, { organizationId, uid }: Extract<Topic, { kind: "ha_discovery" }>): boolean {
  if (may(rights.access.of(principal), "device.read", organizationId)) return true;
  return rights.directory.find(uid)?.organizationId === organizationId && mayOnDevice(rights, principal, "device.read", uid);
}

const isPlatform = ({ access }: Rights, principal: Member): boolean => access.of(principal).kind === "platform";

/** Of whatever little: what is delivered is decided for each message. */
function isMember({ access }: Rights, principal: Member, organizationId: string): boolean {
  const own = access.of(principal);
  return own.kind === "platform" || (own.organizationId === organizationId && maySomewhere(own, "device.read"));
}
