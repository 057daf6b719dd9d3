import { generate } from "mqtt-packet";

/** The CONNECT of MQTT 3.1.1 with this account, whose name is also its client id unless one is given; for tests that speak over a bare socket. */
export function connectPacket(
  account: { readonly username: string; readonly password: string },
  options: { readonly clientId?: string; readonly clean?: boolean; readonly keepalive?: number } = {},
): Buffer {
  return generate({
    cmd: "connect",
    protocolId: "MQTT",
    protocolVersion: 4,
    clientId: account.username,
    username: account.username,
    password: Buffer.from(account.password),
    clean: true,
    keepalive: 60,
    ...options,
  });
}
