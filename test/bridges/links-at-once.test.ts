import { once } from "node:events";
import { type AddressInfo, createServer, Socket } from "node:net";
import { test } from "node:test";
import { connectRemote } from "../../bridges/home-assistant/remote-client.ts";
import { HubLink } from "../../bridges/homekit/plugin/hub-link.js";
import { readConfig } from "../../core/config.ts";
import { temporaryFolder, until } from "../support/wait.ts";

const CONNACK = Buffer.from([0x20, 3, 0, 0, 0]);
const nothing = (): void => undefined;

const LINKS: Readonly<Record<string, (url: string) => Promise<() => Promise<void>>>> = {
  async "HomeKit to the hub"(url) {
    const link = new HubLink({ url, username: "homekit", token: "t", ca: undefined, list: "list" });
    link.on("down", nothing);
    return () => link.close();
  },
  async "the hub to Home Assistant's broker"(url) {
    using folder = temporaryFolder();
    const client = await connectRemote({
      config: readConfig({ HEXA_DATA_DIR: folder.path, HA_MQTT_ENABLED: "true", HA_MQTT_URL: url }, () => ""),
      clientId: "hub",
      will: { topic: "will", payload: "offline" },
      onMessage: async () => undefined,
      onConnect: nothing,
      onClose: nothing,
      onError: nothing,
    });
    return () => client.endAsync(true);
  },
};

for (const [name, open] of Object.entries(LINKS))
  test(`${name}: what is sent behind an acknowledgement does not wait for another (no Nagle's algorithm)`, async ({ mock }) => {
    const { mock: seen } = mock.method(Socket.prototype, "setNoDelay");
    const server = createServer((socket) => socket.once("data", () => socket.write(CONNACK)));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const close = await open(`mqtt://127.0.0.1:${port}`);
    try {
      await until(() => seen.calls.some((call) => (call.this as Socket).remotePort === port && call.arguments[0] === true), {
        what: "the connection to send at once",
      });
    } finally {
      await close();
      server.close();
    }
  });
