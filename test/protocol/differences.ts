import type { Version } from "../support/raw-client.ts";
import type { BrokerName } from "./brokers.ts";

/** A broker that knowingly does something else than a claim of this suite says. */
export interface Difference {
  /** Of the statement in a chapter, word by word. */
  readonly claim: string;
  readonly broker: BrokerName;
  readonly versions: readonly Version[];
  readonly instead: string;
  readonly why: string;
  /** What the failing check of the standard says when the broker does that. */
  readonly seen: RegExp;
}

const BOTH: readonly Version[] = [4, 5];
const V3: readonly Version[] = [4];
const V5: readonly Version[] = [5];

const WENT_ON = /the next ping was answered/;

/** Most of what a malformed packet should end is not looked at by Mosquitto 2.0.11. */
const unchecked = (claim: string, versions: readonly Version[], instead: string): Difference => ({
  claim: `${claim} ends the connection`,
  broker: "mosquitto",
  versions,
  instead,
  why: "Mosquitto 2.0.11 does not check it",
  seen: WENT_ON,
});

const mosquitto = (claim: string, versions: readonly Version[], rest: Pick<Difference, "instead" | "why" | "seen">): Difference => ({
  claim,
  broker: "mosquitto",
  versions,
  ...rest,
});

export const DIFFERENCES: readonly Difference[] = [
  unchecked("SUBACK from a client", V3, "ignores the packet"),
  unchecked("UNSUBACK from a client", V3, "ignores the packet"),
  unchecked("PINGRESP from a client", BOTH, "ignores the packet"),
  unchecked("PINGREQ with reserved bits", BOTH, "answers it"),
  unchecked("PUBACK with reserved bits", BOTH, "takes it"),
  unchecked("a PINGREQ with a body", BOTH, "answers it"),
  unchecked("PUBLISH with DUP and QoS 0", BOTH, "takes the message"),
  unchecked("PUBLISH with a subscription identifier", V5, "takes the message"),
  unchecked("PUBLISH with a payload format of 2", V5, "takes the message"),
  unchecked("a response topic with a wildcard", V5, "takes the message"),
  mosquitto("authentication data without a method is not let in", V5, {
    instead: "lets the client in",
    why: "Mosquitto 2.0.11 does not check it",
    seen: /was let in/,
  }),
  mosquitto("no local on a shared subscription is a protocol error", V5, {
    instead: "grants the subscription",
    why: "Mosquitto 2.0.11 does not check it",
    seen: WENT_ON,
  }),
  mosquitto("a shared filter without a name, without a filter or with a wildcard in the name is never granted", BOTH, {
    instead: "grants some of them, as if they were ordinary filters",
    why: "Mosquitto 2.0.11 takes apart a shared filter only after it was checked as an ordinary one",
    seen: /\$share\/g/,
  }),
  mosquitto("a shared subscription gets no retained messages", BOTH, {
    instead: "sends them to the member that subscribes",
    why: "4.8.2 says it without an identifier; Mosquitto 2.0.11 treats the filter like any other",
    seen: /kept.* retain/,
  }),
  mosquitto("a silent client is cut off after one and a half times its keepalive, and its will is sent", BOTH, {
    instead: "cuts it off up to five seconds later",
    why: "Mosquitto 2.0.11 looks for silent clients every five seconds",
    seen: /late: cut off after \d s/,
  }),
  mosquitto("QoS 2 may be sent again before PUBREL as often as one likes", BOTH, {
    instead: "ends the connection at the second repetition",
    why: "Mosquitto 2.0.11 takes it for a client that is lost",
    seen: /expected pubrec, got (nothing|disconnect 0x82)/,
  }),
  mosquitto(
    "a client with overlapping subscriptions gets the message at the highest of their QoS, and no more copies than subscriptions",
    V3,
    {
      instead: "sends one copy, at the QoS of the subscription that it found first",
      why: "Mosquitto 2.0.11 drops the other copies without a look at their QoS",
      seen: /QoS [01]$/m,
    },
  ),
  mosquitto("no more messages of QoS 1 and 2 are on their way to a client than its receive maximum, and QoS 0 is not held up", V5, {
    instead: "sends as many as the whole receive maximum after one acknowledgement",
    why: "a fault of Mosquitto 2.0.11: it counts the messages that it sends at once and not those that are out already",
    seen: /"4" qos 1[\s\S]*"5" qos 1/,
  }),
  mosquitto("the receive maximum of the new connection holds for what waited and what comes again", V5, {
    instead: "sends all again that was on its way, whatever the new receive maximum",
    why: "Mosquitto 2.0.11 applies it to new messages only",
    seen: /"2" qos 1 dup[\s\S]*"3" qos 1 dup/,
  }),
  mosquitto("a client with more messages on their way than the server's receive maximum is told so and cut off", V5, {
    instead: "goes on",
    why: "Mosquitto 2.0.11 announces a receive maximum and does not insist on it",
    seen: WENT_ON,
  }),
  mosquitto("a message of exactly the client's maximum packet size comes, and one of a byte more does not", V5, {
    instead: "sends a packet of one byte more",
    why: "Mosquitto 2.0.11 counts a packet without its first byte",
    seen: /121/,
  }),
  mosquitto("a message too large for the client counts as delivered", V5, {
    instead: "counts it as on its way, so that it takes a place of the receive maximum for ever",
    why: "Mosquitto 2.0.11 finds out when the message is in the queue already",
    seen: /expected publish, got nothing/,
  }),
  mosquitto("DISCONNECT with the reason of an error sends the will", V5, {
    instead: "sends it for 0x04 only",
    why: "Mosquitto 2.0.11 takes every other reason for a normal goodbye",
    seen: /'128'/,
  }),
  mosquitto("a delayed will is sent when a clean start ends its session", V5, {
    instead: "drops the will",
    why: "Mosquitto 2.0.11 takes the clean start for the return of the client",
    seen: /expected publish, got nothing/,
  }),
  mosquitto("a delayed will is sent when a clean start takes over its connection", V5, {
    instead: "drops the will",
    why: "Mosquitto 2.0.11 takes the clean start for the return of the client",
    seen: /expected publish, got nothing/,
  }),
  mosquitto("a session that is taken over sends its will, unless the will is delayed and the session goes on", V5, {
    instead: "drops every will of a session that goes on",
    why: "Mosquitto 2.0.11 takes the new connection for the return of the client, whatever the delay",
    seen: /false !== true/,
  }),
  mosquitto("a delayed will of a session that ends with its connection is sent at once", V5, {
    instead: "waits for the whole delay",
    why: "Mosquitto 2.0.11 does not look at the session's expiry when it delays a will",
    seen: /expected publish, got nothing/,
  }),
];

export function findDifference(of: { broker: BrokerName; version: Version; claim: string }): Difference | undefined {
  return DIFFERENCES.find(({ claim, broker, versions }) => claim === of.claim && broker === of.broker && versions.includes(of.version));
}
