import { once } from "node:events";
import { createServer, type IncomingMessage, request as ask } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";

export interface LossyProxy extends AsyncDisposable {
  readonly url: string;
  /** Answers that were lost, and all that the server gave. */
  readonly counts: { lost: number; answered: number };
}

/** Passes requests on and loses that share of the answers, after the server has done what was asked. */
export async function startLossyProxy(
  target: { readonly port: number },
  { share, random }: { share: number; random: () => number },
): Promise<LossyProxy> {
  const counts = { lost: 0, answered: 0 };
  const server = createServer((request, response) => {
    const pass = async (): Promise<void> => {
      const body = await buffer(request);
      const { "transfer-encoding": _chunked, ...headers } = request.headers;
      const { method, url: path } = request;
      const sent = ask({ port: target.port, host: "127.0.0.1", method, path, headers: { ...headers, "content-length": body.length } });
      sent.end(body);
      const [answer] = (await once(sent, "response")) as [IncomingMessage];
      const told = await buffer(answer);
      counts.answered++;
      if (random() < share) {
        counts.lost++;
        response.destroy();
      } else response.writeHead(answer.statusCode ?? 500, answer.headers).end(told);
    };
    // A server that is not there is as one that does not answer.
    pass().catch(() => response.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    counts,
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
