import type { Socket } from "node:net";
import mqtt from "mqtt";
import type { Account } from "./connection.ts";
import { createHistogram, type Latency } from "./histogram.ts";
import { passed, startPace } from "./pace.ts";
import type { Target } from "./wire.ts";

/** Messages that something else answers with messages: a rule of the hub, or a flow of Node-RED on a broker. */
export interface AnswersSpec extends Target {
  readonly kind: "answers";
  readonly login: Omit<Account, "clientId">;
  /** Topics are `<ask>/<number>`; answers come below `<answer>/`. */
  readonly ask: string;
  readonly answer: string;
  readonly topics: number;
  /** undefined: as many as are answered, with so many under way. */
  readonly ratePerS?: number | undefined;
  readonly underWay: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
}

export interface AnswersResult {
  readonly answeredPerS: number;
  /** From handing over the message to its answer. */
  readonly latency: Latency;
  readonly cpuShare: number;
}

/** The time of sending travels in the message and comes back in the answer. */
export async function runAnswers(spec: AnswersSpec): Promise<AnswersResult> {
  const { host, port, login, ask, answer, topics, ratePerS, underWay } = spec;
  const connect = (clientId: string) =>
    mqtt.connectAsync({ host, port, clientId, username: login.username, password: login.password, protocolVersion: 4 });
  const [reader, writer] = [await connect("bench-answers-in"), await connect("bench-answers-out")];
  // Without it what is measured is the time that TCP waits for acknowledgements of small packets.
  for (const { stream } of [reader, writer]) (stream as unknown as Socket).setNoDelay(true);
  const histogram = createHistogram();
  let isMeasuring = false;
  let open = 0;
  let sent = 0;
  const send = (stampMs: number): boolean => {
    if (open >= underWay) return false;
    open++;
    writer.publish(`${ask}/${sent++ % topics}`, JSON.stringify({ at: stampMs, pad: "x".repeat(60) }));
    return true;
  };
  reader.on("message", (_topic, payload) => {
    open = Math.max(0, open - 1);
    if (isMeasuring) histogram.add(performance.now() - (JSON.parse(payload.toString()) as { at: number }).at);
    if (ratePerS === undefined) send(performance.now());
  });
  await reader.subscribeAsync(`${answer}/#`);
  const pace = ratePerS === undefined ? undefined : startPace({ ratePerS, send });
  if (!pace) for (let one = 0; one < underWay; one++) send(performance.now());
  await passed(spec.warmUpMs);
  isMeasuring = true;
  const from = { at: performance.now(), cpu: process.cpuUsage() };
  await passed(spec.measureMs);
  const seconds = (performance.now() - from.at) / 1_000;
  const cpu = process.cpuUsage(from.cpu);
  isMeasuring = false;
  pace?.[Symbol.dispose]();
  const latency = histogram.summary();
  reader.end(true);
  writer.end(true);
  return { answeredPerS: latency.count / seconds, latency, cpuShare: (cpu.user + cpu.system) / 1e6 / seconds };
}
