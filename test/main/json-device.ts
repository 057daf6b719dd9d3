import { once } from "node:events";
import WebSocket, { type ClientOptions } from "ws";
import type { TestHub } from "../support/hub.ts";
import { until } from "../support/wait.ts";

export type Said = Readonly<Record<string, unknown>> & { readonly type: string };

export interface JsonDevice extends AsyncDisposable {
  readonly socket: WebSocket;
  /** All that the hub has said. */
  readonly heard: readonly Said[];
  /** With an id of its own; resolves to the hub's answer. */
  ask(message: object): Promise<Said>;
  say(message: object | string): void;
  /** The first message that fits, from those that came before too. */
  untilHeard(fits: (message: Said) => boolean, what: string): Promise<Said>;
  /** The code with which the connection ended. */
  readonly closed: Promise<number>;
}

export const deviceUrl = (hub: Pick<TestHub, "http">, { uid, token }: { readonly uid: string; readonly token: string }): string =>
  `${hub.http.replace(/^http/, "ws")}/ws/device?uid=${uid}&token=${token}`;

/** A device that speaks JSON over a WebSocket, with nothing between the test and the wire. */
export async function openSocket(url: string, protocols: string[] = [], options: ClientOptions = {}): Promise<JsonDevice> {
  const socket = new WebSocket(url, protocols, options);
  const heard: Said[] = [];
  socket.on("message", (data) => heard.push(JSON.parse((data as Buffer).toString()) as Said));
  const closed = once(socket, "close").then(([code]) => code as number);
  await once(socket, "open");
  let last = 0;
  const untilHeard: JsonDevice["untilHeard"] = (fits, what) => until(() => heard.find(fits), { what });
  return {
    socket,
    heard,
    closed,
    untilHeard,
    say: (message) => socket.send(typeof message === "string" ? message : JSON.stringify(message)),
    async ask(message) {
      const id = ++last;
      socket.send(JSON.stringify({ ...message, id }));
      return untilHeard(
        (one) => one["id"] === id && (one.type === "ok" || one.type === "error"),
        `the answer to ${JSON.stringify(message)}`,
      );
    },
    async [Symbol.asyncDispose]() {
      socket.terminate();
      await closed;
    },
  };
}

/** One that does what it is told, and reports it. */
export async function openRelay(hub: Pick<TestHub, "http">, device: { readonly uid: string; readonly token: string }): Promise<JsonDevice> {
  const relay = await openSocket(deviceUrl(hub, device));
  relay.socket.on("message", (data) => {
    const { type, command_id, state } = JSON.parse((data as Buffer).toString()) as Said;
    if (type === "command") relay.say({ type: "ack", command_id, status: "ok", ...(state === undefined ? {} : { state }) });
  });
  await relay.ask({ type: "register", capabilities: { relays: 2 } });
  return relay;
}

/** How the hub sees the device. */
export async function presenceOf({ api }: Pick<TestHub, "api">, id: string): Promise<string> {
  const { body } = await api.call<{ device: { connection_status: string } }>("GET", `/api/v1/devices/${id}`);
  return body.device.connection_status;
}
