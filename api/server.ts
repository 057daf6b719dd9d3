import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { once } from "node:events";
import { SetupError } from "../core/errors.ts";
import { createApp } from "./app.ts";
import type { Api, ApiContext } from "./context.ts";
import { mayTakeLong } from "./upload.ts";

const DRAIN_MS = 5_000;

/** Listens and serves. Throws `SetupError` when the port is taken. Disposing lets running requests finish for 5 s. */
export async function startApi(context: ApiContext): Promise<Api> {
  const { host, port } = context.settings;
  const { metrics, streamReaders, liveStreams } = context;
  const handle = createApp(context).callback();
  const running = new Set<ServerResponse>();
  let isDraining = false;
  const server = createServer(
    { headersTimeout: 15_000, requestTimeout: 60_000, keepAliveTimeout: 20_000, connectionsCheckingInterval: 5_000, maxHeaderSize: 16_384 },
    (request, response) => {
      running.add(response);
      if (isDraining) response.setHeader("connection", "close");
      response.once("close", () => running.delete(response));
      void handle(request, response);
    },
  );
  server.maxHeadersCount = 100;
  server.on("clientError", answerGarbage);
  await listen(server, host, port);
  metrics.gauge("hexahub_notification_streams", "Streams of notifications that are read at this node", () => streamReaders.count);
  metrics.gauge("hexahub_live_streams", "Streams of live values that are read at this node", () => liveStreams.count);
  const address = server.address() as AddressInfo;
  return {
    server,
    url: `http://${host.includes(":") ? `[${host}]` : host}:${address.port}`,
    async [Symbol.asyncDispose]() {
      isDraining = true;
      // Not awaited: sockets that were upgraded belong to the broker, and close() would wait for them.
      server.close();
      server.closeIdleConnections();
      const limit = AbortSignal.timeout(DRAIN_MS);
      await Promise.all([...running].map((response) => once(response, "close", { signal: limit }).catch(() => undefined)));
      server.closeAllConnections();
    },
  };
}

async function listen(server: Server, host: string, port: number): Promise<void> {
  server.listen(port, host);
  try {
    await once(server, "listening");
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
    if (code === "EADDRINUSE")
      throw new SetupError(`port ${port} on ${host} is in use`, "HEXA_HTTP_PORT", "choose another port, or stop what holds it", { cause });
    if (code === "EACCES")
      throw new SetupError(`port ${port} is not allowed to this user`, "HEXA_HTTP_PORT", "choose a port from 1024 on", { cause });
    throw new SetupError(
      `cannot listen on ${host}:${port} (${code})`,
      "HEXA_HOST",
      "name an address of this machine, or 0.0.0.0 for all of them",
      { cause },
    );
  }
}

/** What Node's parser refuses never becomes a request; it still gets an answer of our kind. */
function answerGarbage(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === "ERR_HTTP_REQUEST_TIMEOUT" && mayTakeLong(socket)) return;
  if (!socket.writable || socket.bytesWritten > 0) {
    socket.destroy();
    return;
  }
  const [status, reason, message] =
    error.code === "HPE_HEADER_OVERFLOW"
      ? (["431", "Request Header Fields Too Large", "the headers are larger than allowed"] as const)
      : error.code === "ERR_HTTP_REQUEST_TIMEOUT"
        ? (["408", "Request Timeout", "the request took too long to arrive"] as const)
        : (["400", "Bad Request", "this is not HTTP"] as const);
  const body = JSON.stringify({ code: "validation_error", message, details: null, request_id: "none" });
  socket.end(
    `HTTP/1.1 ${status} ${reason}\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}
