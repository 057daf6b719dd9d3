import { randomUUID } from "node:crypto";
import type { Bus, Log, NodeCalls } from "../core/bus.ts";
import { callAnswersTopic, HUB_TOPICS } from "../core/hub-topics.ts";

export interface NodeCallsContext {
  readonly bus: Bus;
  /** How many other nodes there are now. */
  readonly peerCount: () => number;
  readonly log: Log;
}

interface Call {
  readonly call: string;
  /** The process that asks: unlike a node's id it never changes. */
  readonly from: string;
  readonly name: string;
  readonly request: unknown;
}
interface Answer {
  readonly call: string;
  readonly answer?: unknown;
}

/** Calls over the bus. An answer that comes too late is nobody's; the work is done all the same. */
export function createNodeCalls({ bus, peerCount, log }: NodeCallsContext): NodeCalls & Disposable {
  const self = randomUUID();
  const works = new Map<string, (request: unknown) => Promise<unknown>>();
  const waiting = new Map<string, (answer: unknown) => void>();
  const stack = new DisposableStack();

  function send(topic: string, message: Call | Answer): void {
    bus
      .publish({ topic, payload: JSON.stringify(message), qos: 1 })
      .catch((error: unknown) => log.error({ err: error, topic }, "a call between nodes could not be sent"));
  }

  async function work({ call, from, name, request }: Call): Promise<void> {
    if (from === self) return;
    const does = works.get(name);
    let answer: unknown;
    try {
      answer = await does?.(request);
    } catch (error) {
      log.error({ err: error, call: name }, "what another node asked for failed");
    }
    send(callAnswersTopic(from), { call, ...(answer === undefined ? {} : { answer }) });
  }

  stack.use(bus.subscribe(HUB_TOPICS.calls, (_topic, payload) => void work(JSON.parse(payload.toString()) as Call)));
  stack.use(
    bus.subscribe(callAnswersTopic(self), (_topic, payload) => {
      const { call, answer } = JSON.parse(payload.toString()) as Answer;
      waiting.get(call)?.(answer);
    }),
  );
  return {
    handle(name, does) {
      works.set(name, does);
      return { [Symbol.dispose]: () => void works.delete(name) };
    },
    async askOthers(name, request, timeoutMs) {
      const expected = peerCount();
      if (expected === 0) return [];
      const call = randomUUID();
      const answers: unknown[] = [];
      const { promise, resolve } = Promise.withResolvers<void>();
      const limit = setTimeout(resolve, timeoutMs);
      waiting.set(call, (answer) => {
        if (answers.push(answer) >= expected) resolve();
      });
      send(HUB_TOPICS.calls, { call, from: self, name, request });
      await promise;
      clearTimeout(limit);
      waiting.delete(call);
      return answers;
    },
    [Symbol.dispose]: () => stack.dispose(),
  };
}
