import assert from "node:assert/strict";
import { codeOf } from "../support/raw-client.ts";
import type { Player } from "./model-cast.ts";
import type { Live } from "./model-clients.ts";
import { HUB_WINDOW, isSharer, pick, PLAIN, type Stage } from "./model-stage.ts";
import type { FilterStep, PublishStep } from "./model-steps.ts";
import { type Filter, isShared, type Message } from "./model-terms.ts";

const FILTERS = [
  "#",
  "+/+/bus/#",
  "hexa-app/{own}/bus/#",
  "hexa-app/{own}/bus/a",
  "hexa-app/{own}/bus/+",
  "hexa-app/+/bus/a/#",
  "hexa-app/+/events/+",
  "hexa/#",
  "hexa/+/availability",
  "hexa/+/sensor/+/state",
  "hexa/{device}/#",
  "hexa/{device}/up/+",
  "hexa/{device}/availability",
  "hexa/nobody-knows-it/#",
  "hexa-app/{other}/#",
  "hexa/+/down/#",
  "$SYS/#",
  "something/#",
];
const SHARED = ["#", "+/+/bus/#", "hexa/#", "hexa-app/{own}/bus/a"];
const DEVICE_FILTERS = [
  "hexa/{own}/down/registered",
  "hexa/{own}/down/#",
  "hexa/{own}/#",
  "hexa/{device}/down/#",
  "#",
  "$share/g/hexa/{own}/down/#",
];
const REPORTS = ["telemetry", "telemetry", "heartbeat", "register", "availability"] as const;

export async function subscribeStep(stage: Stage, client: string, wanted: readonly FilterStep[], id: number): Promise<boolean> {
  const { raw, player, holds, window } = stage.live(client);
  const { kind } = player.account;
  // A member of two groups could not tell for which of them it got a message.
  let shared = [...(stage.model.sessions.get(client)?.filters.keys() ?? [])].find((filter) => filter.startsWith("$share"));
  const filters = wanted.map((one): Filter => {
    const shares = isSharer(client) && one.isShared;
    const name = filterFor(stage, player, kind === "device" ? DEVICE_FILTERS : shares ? SHARED : FILTERS, one.filter);
    if (shares) shared ??= `$share/g/${name}`;
    const filter = shares && shared === `$share/g/${name}` ? shared : name;
    const fifth =
      raw.version === 5
        ? { ...one, id: id === 0 ? undefined : id }
        : { noLocal: false, keepsRetain: false, retainHandling: 0 as const, id: undefined };
    return {
      filter,
      qos: one.qos,
      noLocal: fifth.noLocal && !filter.startsWith("$"),
      keepsRetain: fifth.keepsRetain,
      // What is retained is looked for while there is room: a client that takes nothing would get what is there later.
      retainHandling: holds && window < HUB_WINDOW ? 2 : fifth.retainHandling,
      id: fifth.id,
    };
  });
  // One filter twice in a packet may bring what is retained once or twice.
  await subscribe(stage, client, [...new Map(filters.map((one) => [one.filter, one])).values()]);
  return true;
}

export async function subscribe(stage: Stage, client: string, filters: readonly Filter[]): Promise<void> {
  const { raw, node } = stage.live(client);
  stage.note("subscribe", client, filters);
  await stage.beforeSubscribing(client);
  await stage.clients.settle([client]);
  const answers = stage.model.subscribe(client, filters);
  stage.expect(answers.flatMap((debts) => debts ?? []));
  const id = filters[0]?.id;
  const suback = await raw.subscribe(
    filters.map(({ filter, qos, noLocal, keepsRetain, retainHandling }) =>
      raw.version === 5 ? { topic: filter, qos, nl: noLocal, rap: keepsRetain, rh: retainHandling } : { topic: filter, qos },
    ),
    id === undefined ? undefined : { subscriptionIdentifier: id },
  );
  if (filters.some(isShared)) stage.fences.said(node);
  const expected = answers.map((debts, at) => (debts ? filters[at]?.qos : raw.version === 5 ? 0x87 : 0x80));
  assert.deepEqual(suback.granted, expected, `SUBACK for ${client}: ${JSON.stringify(filters)}`);
  // What is retained is looked for in turns: of what changes meanwhile the client may get the old or the new.
  await stage.clients.settle([client]);
}

function filterFor(stage: Stage, { account }: Player, from: readonly string[], at: number): string {
  const own = account.kind === "device" ? account.name : account.organization;
  const other = stage.cast.organizations.find((one) => one !== account.organization) as string;
  const device = stage.device(Math.floor(at / from.length)).account.name;
  // An administrator may read the statistics, whose times nobody can tell.
  const filter = account.isAdmin ? (pick(from, at) as string).replace("$SYS", "$hub") : (pick(from, at) as string);
  return filter.replace("{own}", own).replace("{other}", other).replace("{device}", device);
}

export async function unsubscribe(stage: Stage, client: string, which: readonly number[]): Promise<boolean> {
  const { raw, node } = stage.live(client);
  const filters = stage.model.sessions.get(client)?.filters as Map<string, Filter>;
  const names = which.map((at) => pick([...filters.keys(), "hexa-app/+/never"], at) as string);
  stage.note("unsubscribe", client, names);
  await stage.fences.before(node, false);
  await stage.clients.settle([client]);
  if (isSharer(client)) stage.fences.said(node);
  const expected = names.map((name) => (filters.delete(name) ? 0 : 0x11));
  const { granted } = await raw.unsubscribe(names);
  if (raw.version === 5) assert.deepEqual(granted, expected, `UNSUBACK for ${client}`);
  return true;
}

export async function publishStep(stage: Stage, client: string, step: PublishStep): Promise<boolean> {
  const { account } = stage.live(client).player;
  const { qos, retain } = step;
  if (account.kind === "device") return report(stage, client, step);
  const topic = stage.bus(account.organization, step.topic, step.isForeign);
  const isEmpty = step.isEmpty && retain;
  // Two empty messages look alike: of one group nobody could tell who got which.
  if (isEmpty) await stage.settle();
  await send(stage, client, { topic, payload: isEmpty ? "" : `message ${++stage.count}`, qos, retain, by: client }, step);
  return true;
}

/** A device's message, and what the hub makes of it. */
async function report(
  stage: Stage,
  client: string,
  { topic: which, qos: asked, retain, isForeign, isEmpty }: PublishStep,
): Promise<boolean> {
  const type = pick(REPORTS, which) as (typeof REPORTS)[number];
  const uid = isForeign ? stage.device(which).account.name : client;
  const number = ++stage.count;
  const payloads = { telemetry: { ts: stage.nextMoment(), values: { t: number } }, heartbeat: { uptime_s: number }, register: {} };
  const topic = type === "availability" ? `hexa/${uid}/availability` : `hexa/${uid}/up/${type}`;
  const payload = type === "availability" ? (isEmpty ? "online" : "offline") : JSON.stringify(payloads[type]);
  const qos = type === "register" && asked === 0 ? 1 : asked;
  await send(stage, client, { topic, payload, qos, retain: retain && isEmpty, by: client });
  if (uid !== client || (retain && isEmpty)) return true;
  if (type === "telemetry")
    await stage.owe(stage.model.publish({ topic: `hexa/${uid}/sensor/t/state`, payload: String(number), qos: 0, retain: true }));
  if (type === "register")
    await stage.owe(stage.model.publish({ topic: `hexa/${uid}/down/registered`, payload: "registered", qos: 1, retain: false }));
  return true;
}

type Repeat = Pick<PublishStep, "twice" | "node">;

export async function send(stage: Stage, client: string, message: Message, repeat: Repeat = { twice: "no", node: 0 }): Promise<void> {
  const { raw, player, node } = stage.live(client);
  const { topic, payload, qos, retain } = message;
  const { twice } = repeat;
  const isUp = topic.includes("/up/");
  stage.note("publish", client, { ...message, twice });
  // A device's message has a state of QoS 0 in its train.
  await stage.fences.before(node, qos === 0 || isUp);
  stage.fences.said(node);
  const refusal = !stage.model.mayPublish(player.account, topic) ? 0x87 : isUp && retain ? 0x83 : 0;
  if (refusal === 0 && !topic.endsWith("availability")) stage.expect(stage.model.publish(message));
  if (refusal === 0 && qos === 2 && twice !== "no") return sendTwice(stage, client, message, repeat);
  const answer = await raw.publish(topic, payload, { qos, retain });
  if (answer === undefined) await raw.ping();
  else assert.equal(codeOf(answer), raw.version === 5 ? refusal : 0, `${answer.cmd} for ${client} on ${topic}`);
}

/** Sent again before it is released, here or on the next connection of the session, it is one message. */
async function sendTwice(stage: Stage, client: string, { topic, payload, qos, retain }: Message, repeat: Repeat): Promise<void> {
  const messageId = 60_000;
  const first = stage.live(client);
  const sendOnce = async ({ raw }: Live, dup: boolean): Promise<void> => {
    raw.send({ cmd: "publish", topic, payload, qos, retain, dup, messageId });
    assert.equal(codeOf(await raw.pick("pubrec", (packet) => packet.messageId === messageId)), 0);
  };
  await sendOnce(first, false);
  if (repeat.twice === "there" && stage.model.sessions.get(client)?.lasts) {
    await stage.end(client, "drop");
    await stage.connect(client, first.player, { ...PLAIN, node: repeat.node, version: first.raw.version, isClean: false, lasts: true });
  }
  const { raw } = stage.live(client);
  await sendOnce(stage.live(client), true);
  raw.send({ cmd: "pubrel", messageId });
  assert.equal(codeOf(await raw.pick("pubcomp", (packet) => packet.messageId === messageId)), 0);
}
