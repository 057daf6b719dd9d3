import assert from "node:assert/strict";
import type { Debt, Form, Qos } from "./model-terms.ts";

/** A PUBLISH as a client saw it. */
export interface Arrival {
  readonly topic: string;
  readonly payload: string;
  readonly qos: Qos;
  readonly retain: boolean;
  readonly dup: boolean;
  /** undefined where the version has none. */
  readonly ids: readonly number[] | undefined;
  readonly packetId: number | undefined;
}

/** How far a message is on its way to one client; `received` waits for its PUBREL or PUBCOMP. */
interface Entry {
  readonly debt: Debt;
  readonly form: Form;
  state: "owed" | "sent" | "received";
  /** Sent on an earlier connection; maybe, if that ended while it was said. */
  isAgain: boolean | "maybe";
  /** Came on a connection that was just taken over: may come again. */
  isOptional: boolean;
  packetId: number | undefined;
}

export interface Reader {
  /** QoS 1 and 2 messages that it takes without an acknowledgement. */
  readonly window: number;
  readonly sees: (topic: string) => boolean;
  /** Whether all that may get it are there. */
  readonly isShareSettled: (debt: Debt) => boolean;
}

/** What the model says that is to come, against what came: nothing that is not owed, and all that is. */
export class Ledger {
  readonly #entries = new Map<string, Entry[]>();
  arrivals = 0;

  /** `leaving` is the client whose connection is just ending. */
  owe(debts: readonly Debt[], leaving?: string): void {
    for (const debt of debts)
      for (const [client, form] of debt.to) {
        const isAgain = client === leaving ? "maybe" : false;
        this.#of(client).push({ debt, form, state: "owed", isAgain, isOptional: false, packetId: undefined });
      }
  }

  /** Throws when nothing like that is owed to the client, it has lost its right to it, or something else is before it. */
  arrived(client: string, came: Arrival, { holds, sees }: Pick<Reader, "sees"> & { holds: boolean }): void {
    this.arrivals++;
    const owed = this.#of(client).filter(({ state, debt }) => state === "owed" && debt.message.topic === came.topic);
    const like = owed.filter((one) => isLike(one, came));
    // A message that comes for several reasons comes in any order of those.
    const isOvertaking = (entry: Entry): boolean =>
      owed
        .slice(0, owed.indexOf(entry))
        .some((one) => one.debt.message !== entry.debt.message && isDemand(one) && one.form.qos === entry.form.qos);
    // What is owed to this client for sure, and to nobody else, comes before what another may have got; unless it was not its turn yet.
    const inTurn = like.filter((one) => !isOvertaking(one));
    const entry = inTurn.find(isDemand) ?? inTurn[0] ?? like[0];
    const text = (): string => `${client} got ${JSON.stringify(came)}; owed on that topic: ${JSON.stringify(owed.map(textOf))}`;
    assert.ok(entry, `not owed: ${text()}`);
    // What was sent before may be completed.
    assert.ok(entry.isAgain !== false || entry.isOptional || sees(came.topic), `not its to see any more: ${text()}`);
    assert.ok(inTurn.includes(entry), `not in order: ${text()}`);
    for (const other of entry.debt.to.keys()) if (other !== client) this.#remove(other, entry.debt);
    entry.debt.to.clear();
    entry.debt.to.set(client, entry.form);
    entry.debt.isSure = true;
    entry.packetId = came.packetId;
    if (holds && came.qos > 0) entry.state = "sent";
    else this.#remove(client, entry.debt);
  }

  /** What must have come by now. What the client lost its right to before its turn came is forgotten. */
  missing(client: string, { window, sees, isShareSettled }: Reader): string[] {
    const missing: string[] = [];
    const entries = this.#of(client);
    let room = window - entries.filter(({ state }) => state !== "owed").length;
    for (const entry of entries.filter(({ state }) => state === "owed")) {
      const { debt, form, isAgain } = entry;
      if (form.qos > 0 && room <= 0) continue;
      if (form.qos > 0 && isAgain !== true && !sees(debt.message.topic)) {
        this.#remove(client, debt);
        continue;
      }
      if (form.qos > 0) room--;
      if (isDemand(entry) || (debt.isSure && isShareSettled(debt))) missing.push(textOf(entry));
    }
    return missing;
  }

  /** Those who may have got what the client did not. */
  partners(client: string): string[] {
    return this.#of(client).flatMap(({ debt }) => (debt.to.size > 1 ? [...debt.to.keys()] : []));
  }

  /** Packet ids of what the client has and has not acknowledged. */
  unacknowledged(client: string): { packetId: number; qos: Qos; isReceived: boolean }[] {
    return this.#of(client).flatMap(({ state, packetId, form }) =>
      state === "owed" || packetId === undefined ? [] : { packetId, qos: form.qos, isReceived: state === "received" },
    );
  }

  /** The client said PUBREC. */
  received(client: string, packetId: number): void {
    for (const entry of this.#of(client)) if (entry.state === "sent" && entry.packetId === packetId) entry.state = "received";
  }

  /** The client said PUBACK or PUBCOMP. */
  completed(client: string, packetId: number): void {
    const done = this.#of(client).find((entry) => entry.state !== "owed" && entry.packetId === packetId);
    if (done) this.#remove(client, done.debt);
  }

  /** The connection is over and the session stays: what was not acknowledged comes again. */
  rewind(client: string): void {
    for (const entry of this.#of(client)) {
      if (entry.form.qos === 0) this.#remove(client, entry.debt);
      if (entry.state !== "sent") continue;
      entry.state = "owed";
      entry.isAgain = true;
    }
  }

  /** The session is over, and what was on its way to it. */
  forget(client: string): void {
    for (const { debt } of this.#of(client)) {
      debt.isSure = false;
      debt.to.delete(client);
    }
    this.#entries.delete(client);
  }

  /** Rights have changed: which member of a group was to get a message cannot be told any more. */
  blur(): void {
    for (const entries of this.#entries.values()) for (const { debt } of entries) if (debt.to.size > 1) debt.isSure = false;
  }

  /** It came where nobody can tell whether it counted. */
  mayHaveCome(client: string, came: Arrival): void {
    for (const entry of this.#of(client)) if (isLike(entry, came)) entry.isOptional = true;
  }

  #of(client: string): Entry[] {
    let entries = this.#entries.get(client);
    if (!entries) this.#entries.set(client, (entries = []));
    return entries;
  }

  #remove(client: string, debt: Debt): void {
    this.#entries.set(
      client,
      this.#of(client).filter((entry) => entry.debt !== debt),
    );
  }
}

const isDemand = ({ debt, isOptional }: Entry): boolean => debt.isSure && debt.to.size === 1 && !isOptional;

function isLike({ debt: { message }, form, isAgain, isOptional, packetId }: Entry, came: Arrival): boolean {
  return (
    message.topic === came.topic &&
    message.payload === came.payload &&
    form.qos === came.qos &&
    form.retain === came.retain &&
    (isAgain === came.dup || isAgain === "maybe" || isOptional) &&
    (isAgain !== true || packetId === came.packetId) &&
    (came.ids === undefined || sorted(form.ids) === sorted(came.ids))
  );
}

const sorted = (ids: readonly number[]): string => ids.toSorted((a, b) => a - b).join();

function textOf({ debt: { message, to, isSure }, form, state, isAgain }: Entry): string {
  const { topic, payload } = message;
  return JSON.stringify({ topic, payload, ...form, state, isAgain, isSure, to: [...to.keys()] });
}
