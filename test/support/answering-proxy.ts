import { once } from "node:events";
import { createServer, type IncomingMessage, request as send, type ServerResponse } from "node:http";
import { type AddressInfo, connect } from "node:net";
import type { Duplex } from "node:stream";
import { text } from "node:stream/consumers";

/** What a request gets instead of the hub's answer; undefined leaves it to the hub. */
export type Answering = (request: IncomingMessage, response: ServerResponse) => true | undefined;
/** What becomes of a text of the console on its way. */
export type Rewriting = (body: string) => string;

/** A server before the hub that may answer by itself, as those of other people do. */
export interface AnsweringProxy extends AsyncDisposable {
  readonly url: string;
  answer: Answering | undefined;
  rewrite: { readonly path: (path: string) => string; readonly body: Rewriting } | undefined;
}

export async function startAnsweringProxy(target: string): Promise<AnsweringProxy> {
  const server = createServer((request, response) => {
    if (proxy.answer?.(request, response)) return;
    pass(target, { request, response, rewrite: proxy.rewrite });
  });
  server.on("upgrade", (request, socket, head) => passUpgrade(target, { request, socket, head }));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const proxy: AnsweringProxy = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    answer: undefined,
    rewrite: undefined,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
  return proxy;
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly rewrite: AnsweringProxy["rewrite"];
}

function pass(target: string, { request, response, rewrite }: Exchange): void {
  const isConsole = rewrite !== undefined && !request.url?.startsWith("/api/");
  const headers = { ...request.headers, ...(isConsole ? { "accept-encoding": "identity" } : {}) };
  const path = isConsole ? rewrite.path(request.url ?? "/") : request.url;
  const upstream = send(new URL(path ?? "/", target), { method: request.method, headers, agent: false }, (answer) => {
    if (!isConsole) {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
      return;
    }
    void text(answer).then((body) => {
      const { "content-length": _, ...rest } = answer.headers;
      response.writeHead(answer.statusCode ?? 502, rest).end(rewrite.body(body));
    });
  });
  // As a server does whose hub is away.
  upstream.on("error", () =>
    response.headersSent ? response.destroy() : response.writeHead(502, { "content-type": "text/html" }).end("<h1>Bad gateway</h1>"),
  );
  response.on("close", () => upstream.destroy());
  request.pipe(upstream);
}

interface Upgrade {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
}

/** WebSockets go through as they are. */
function passUpgrade(target: string, { request, socket, head }: Upgrade): void {
  const { hostname, port } = new URL(target);
  const upstream = connect({ host: hostname, port: Number(port) });
  const lines = Array.from({ length: request.rawHeaders.length / 2 }, (_, at) => request.rawHeaders.slice(2 * at, 2 * at + 2).join(": "));
  upstream.write(`${[`${request.method} ${request.url} HTTP/1.1`, ...lines].join("\r\n")}\r\n\r\n`);
  upstream.write(head);
  socket.pipe(upstream).pipe(socket);
  for (const [one, other] of [
    [socket, upstream],
    [upstream, socket],
  ] as const)
    one.on("error", () => other.destroy()).on("close", () => other.destroy());
}
