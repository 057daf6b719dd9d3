import type { IncomingMessage } from "node:http";
import type { WebSocket } from "ws";
import { isDeviceUid } from "../core/id.ts";
import type { GatewayLogin } from "./gateway-login.ts";
import { closeUnauthorized, DeviceSocket, type DeviceSocketContext } from "./device-socket.ts";
import { isAllowedOrigin, type WebSocketPath } from "./websocket.ts";

const PROTOCOL = "hexahub.device";
const BEARER_PROTOCOL = "bearer.";
const MAX_SECRET_CHARS = 4_096;

/** `/ws/device`: devices that speak JSON over a WebSocket. A cookie is nobody's here. */
export function devicePath(context: DeviceSocketContext, origins: readonly string[]): WebSocketPath {
  return {
    path: "/ws/device",
    reasonAgainst: ({ headers }) => (isAllowedOrigin(headers, origins) ? undefined : "origin"),
    protocolOf: (offered) => offered.has(PROTOCOL) && PROTOCOL,
    open(webSocket: WebSocket, request, remoteAddress) {
      const login = loginOf(request);
      if (login) return new DeviceSocket(context, webSocket, { ...login, remoteAddress });
      closeUnauthorized(webSocket);
      return undefined;
    },
  };
}

/** Who the request says it is. A browser's script can set no header but the subprotocol; many firmwares can set none at all. */
export function loginOf({ url = "", headers }: IncomingMessage): GatewayLogin | undefined {
  const query = new URLSearchParams(url.split("?", 2)[1]);
  const uid = query.get("uid") ?? headers["x-device-uid"];
  const offered = (headers["sec-websocket-protocol"] ?? "").split(",").map((name) => name.trim());
  const bearer = /^Bearer +([\x21-\x7e]+) *$/i.exec(headers.authorization ?? "")?.[1];
  const inProtocol = offered.find((name) => name.startsWith(BEARER_PROTOCOL))?.slice(BEARER_PROTOCOL.length);
  const secret = bearer ?? inProtocol ?? query.get("token");
  if (typeof uid !== "string" || !isDeviceUid(uid) || !secret || secret.length > MAX_SECRET_CHARS) return undefined;
  return { uid, secret };
}
