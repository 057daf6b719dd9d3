declare module "qlobber" {
  const qlobber: { QlobberTrue: new (options: object) => { add(pattern: string): void; test(topic: string): boolean } };
  export default qlobber;
}
declare module "qlobber/aedes/qlobber-sub.js" {
  export default class QlobberSub {
    constructor(options: object);
    readonly subscriptionsCount: number;
    add(topic: string, value: object): void;
    remove(topic: string, value: object): void;
    match(topic: string): { clientId: string; topic: string; qos: 0 | 1 | 2 }[];
  }
}
declare module "websocket-stream" {
  import type { Duplex } from "node:stream";
  import type { IncomingMessage, Server } from "node:http";
  import type { ServerOptions, WebSocket } from "ws";
  type WebSocketDuplex = Duplex & { socket: WebSocket };
  const websocketStream: {
    createServer(
      options: ServerOptions & { server: Server },
      onStream: (stream: WebSocketDuplex, request: IncomingMessage) => void,
    ): { close(): void };
  };
  export default websocketStream;
}
