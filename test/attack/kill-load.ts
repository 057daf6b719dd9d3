import { type MqttClient, UniqueMessageIdProvider } from "mqtt";
import type { VirtualDevice } from "../../firmware/virtual/device.ts";
import { until } from "../support/wait.ts";
import { type Account, connectStubborn, deliver } from "./stubborn-client.ts";

/** What was acknowledged: numbers that are unique over all of it. */
export interface Acknowledged {
  readonly readings: number[];
  /** Readings without a time of their own. */
  readonly untimed: number[];
  readonly presses: number[];
  readonly reports: number[];
  readonly toggles: number[];
  readonly bus: number[];
  /** For the group that shares it. */
  readonly work: number[];
  /** In the order in which they replaced each other. */
  readonly retained: number[];
  /** `+` and the topic, or `-` and the topic, in this order. */
  readonly subscriptions: string[];
}

export interface LoadContext {
  readonly device: Account;
  /** Whose client ids these clients choose. */
  readonly person: Account;
  readonly relay: VirtualDevice;
  readonly organizationId: string;
  /** ms since 1970: the time of reading 0. */
  readonly firstTs: number;
}

export interface Load extends AsyncDisposable {
  readonly acknowledged: Acknowledged;
  total(): number;
  /** Lets everything end that is on its way. Rejects with the first fault of a client. */
  finish(): Promise<void>;
  /** The client whose subscriptions change, to see what the last change came to. */
  readonly changing: MqttClient;
}

/** Everything that clients do to a hub, each as fast as the answers come, until it is told to finish. */
export async function startLoad({ device, person, relay, organizationId, firstTs }: LoadContext): Promise<Load> {
  const own = await connectStubborn(device, { protocolVersion: 4, properties: undefined as never });
  const client = await connectStubborn({ ...person, clientId: "load" });
  // An id is used again as soon as it is free: what a hub keeps of it too long shows.
  const streaming = await connectStubborn({ ...person, clientId: "streaming" }, { messageIdProvider: new UniqueMessageIdProvider() });
  // It waits for its own hub, where the others go to the next.
  const changing = await connectStubborn({ ...person, urls: [person.url], clientId: "changing" });
  const clients = [own, client, streaming, changing];
  const acknowledged: Acknowledged = {
    readings: [],
    untimed: [],
    presses: [],
    reports: [],
    toggles: [],
    bus: [],
    work: [],
    retained: [],
    subscriptions: [],
  };
  const over = new AbortController();
  let numbers = 0;
  const repeat = async (act: (n: number) => Promise<unknown>): Promise<void> => {
    while (!over.signal.aborted) await act(numbers++);
  };
  const say = async (type: string, body: object, qos: 1 | 2): Promise<boolean> =>
    deliver(own, `hexa/${device.clientId}/up/${type}`, JSON.stringify(body), { qos });
  const note = (list: number[], n: number) => (isTaken: boolean) => void (isTaken && list.push(n));
  const toggle = async (index: number, qos: 1 | 2, n: number): Promise<void> => {
    await until(() => relay.connected || over.signal.aborted, { what: "the relay", timeoutMs: 30_000 });
    if (!over.signal.aborted)
      await deliver(client, `hexa/${relay.uid}/relay/${index}/set`, "TOGGLE", { qos }).then(note(acknowledged.toggles, n));
  };
  const bus = `hexa-app/${organizationId}/bus`;
  let isOn = false;
  const work = Promise.all([
    ...([1, 2] as const).flatMap((qos) => [
      repeat((n) => say("telemetry", { ts: firstTs + n, values: { n } }, qos).then(note(acknowledged.readings, n))),
      repeat((n) => say("input_event", { input: 0, event: "click", duration_ms: n }, qos).then(note(acknowledged.presses, n))),
      repeat((n) => deliver(streaming, `${bus}/stream`, String(n), { qos }).then(note(acknowledged.bus, n))),
      repeat((n) => toggle(qos, qos, n)),
    ]),
    repeat((n) => say("telemetry", { values: { untimed: n } }, 1).then(note(acknowledged.untimed, n))),
    repeat((n) => {
      isOn = !isOn;
      return say("state_report", { relays: [{ index: 0, state: isOn ? "ON" : "OFF" }] }, 1).then(note(acknowledged.reports, n));
    }),
    repeat((n) => deliver(client, `${bus}/work`, String(n), { qos: 1 }).then(note(acknowledged.work, n))),
    repeat((n) => deliver(client, `${bus}/last`, String(n), { qos: 1, retain: true }).then(note(acknowledged.retained, n))),
    repeat(async (n) => {
      const filter = `${bus}/of/${n % 5}`;
      const isHeld = acknowledged.subscriptions.findLast((one) => one.slice(1) === filter)?.startsWith("+") === true;
      // A SUBSCRIBE is not sent again: what was not answered is asked once more.
      await untilAnswered(changing, () => (isHeld ? changing.unsubscribeAsync(filter) : changing.subscribeAsync(filter, { qos: 1 })));
      acknowledged.subscriptions.push(`${isHeld ? "-" : "+"}${filter}`);
    }),
  ]);
  work.catch(() => undefined);
  return {
    acknowledged,
    changing,
    total: () => Object.values(acknowledged).reduce((sum, { length }) => sum + length, 0),
    async finish() {
      over.abort();
      await work;
    },
    async [Symbol.asyncDispose]() {
      over.abort();
      await Promise.all(clients.map((one) => one.endAsync(true)));
    },
  };
}

async function untilAnswered(client: MqttClient, ask: () => Promise<unknown>): Promise<void> {
  for (let isAnswered = false; !isAnswered; ) {
    await until(() => client.connected, { what: "a connection", timeoutMs: 30_000 });
    isAnswered = await ask().then(
      () => true,
      () => false,
    );
  }
}
