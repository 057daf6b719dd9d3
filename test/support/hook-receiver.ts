import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface ReceivedHook {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** ms since 1970 */
  readonly at: number;
}

export interface HookReceiver extends AsyncDisposable {
  readonly url: string;
  /** In the order in which they came. */
  readonly received: ReceivedHook[];
  /** How many have no answer yet, and the most at once that there were. */
  readonly open: { now: number; most: number };
  /** What it does with the next ones. */
  answer: (response: ServerResponse, hook: ReceivedHook) => void;
}

/** Somebody's server on the loopback address, which takes webhooks. It answers 204 unless it is told otherwise. */
export async function startHookReceiver(port = 0): Promise<HookReceiver> {
  const received: ReceivedHook[] = [];
  const open = { now: 0, most: 0 };
  const receiver = { answer: (response: ServerResponse): unknown => response.writeHead(204).end() } as Pick<HookReceiver, "answer">;
  const server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8");
    request.on("data", (part: string) => (body += part));
    request.on("end", () => {
      const hook = { headers: request.headers, body, at: Date.now() };
      received.push(hook);
      // Not before: whoever waits until so many are open finds them among those received.
      open.now++;
      open.most = Math.max(open.most, open.now);
      response.once("close", () => open.now--);
      receiver.answer(response, hook);
    });
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return Object.assign(receiver, {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    received,
    open,
    async [Symbol.asyncDispose]() {
      if (!server.listening) return;
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  });
}
