import { Child } from "../../bridges/homekit/child.ts";
import { writeSettings } from "../../bridges/homekit/homebridge.ts";
import { newIdentity } from "../../bridges/homekit/identity.ts";
import type { Code } from "./home-controller.ts";
import type { TestHub } from "./hub.ts";
import { freePort } from "./services.ts";
import { temporaryFolder, until } from "./wait.ts";

const SILENT = { debug() {}, info() {}, warn() {}, error() {} };

/** A Homebridge with the hub's plugin that the hub knows nothing of (`HEXA_HOMEKIT=external`); `url` is where it finds the hub's broker. */
export async function startHomebridge({ api }: TestHub, url: string): Promise<AsyncDisposable & { readonly code: Code }> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(temporaryFolder());
  const account = { kind: "service", name: "homebridge", purpose: "homekit", permissions: ["device.read", "device.control"] };
  const { body } = await api.call<{ token: string }>("POST", "/api/v1/access-tokens", account);
  const { pin, ...identity } = newIdentity();
  const port = await freePort();
  const bridge = { number: 0, port, tokenId: "", ...identity, secrets: { pin, accountName: account.name, token: body.token } };
  const child = new Child({
    folder: folder.path,
    log: SILENT,
    changed() {},
    prepare: () => writeSettings(folder.path, { name: "Own", bridge, url, caFile: "", topic: "hexa-app/+/homekit/0", bind: ["127.0.0.1"] }),
  });
  const end = new AbortController();
  const ended = child.run(end.signal);
  stack.defer(async () => {
    end.abort();
    await ended;
  });
  await until(() => child.health.isRunning && child.health.isConnected, { what: "Homebridge to find the hub", timeoutMs: 20_000 });
  const owned = stack.move();
  return {
    code: { bridge: 0, username: bridge.username, port, pin, setup_uri: "", paired: false },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
