import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";

export interface RecordedRequest {
  readonly method: string;
  readonly path: string;
  readonly authorization: string | undefined;
  /** Parsed JSON, undefined for none. */
  readonly body: unknown;
}

export interface RecordingHub extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly requests: RecordedRequest[];
}

export type Answers = (request: RecordedRequest) => { status: number; body?: unknown; text?: string; headers?: Record<string, string> };

/** A real HTTP server that keeps what it was asked and answers what the test says. */
export async function startRecordingHub(answer: Answers): Promise<RecordingHub> {
  const requests: RecordedRequest[] = [];
  const server = createServer((request, response) => {
    void bodyOf(request).then((body) => {
      const recorded = { method: request.method ?? "", path: request.url ?? "", authorization: request.headers.authorization, body };
      requests.push(recorded);
      const { status, body: reply, text, headers } = answer(recorded);
      response.writeHead(status, { "content-type": "application/json", connection: "close", ...headers });
      response.end(text ?? (reply === undefined ? "" : JSON.stringify(reply)));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString("utf8");
  return text === "" ? undefined : JSON.parse(text);
}
