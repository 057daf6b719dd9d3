import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { type Listeners, openListeners } from "../../broker/listeners.ts";
import { readConfig } from "../../core/config.ts";
import { temporaryFolder } from "../support/wait.ts";

export interface OpenDoors extends AsyncDisposable {
  readonly mqttPort: number;
  readonly mqttsPort: number;
  readonly httpPort: number;
  readonly caFile: string;
  readonly listeners: Listeners;
  /** Whom the doors let in, in their order. */
  readonly addresses: (string | undefined)[];
  readonly streams: Duplex[];
  /** How many were refused, by reason. */
  readonly refused: Record<string, number>;
}

const WITHOUT_RATES = { HEXA_MQTT_CONNECT_RATE: "0", HEXA_MQTT_ADDRESS_RATE: "0" };

/** The broker's listeners on free ports, with an echo behind them unless something else is given. */
export async function openDoors(
  env: Readonly<Record<string, string>> = {},
  onStream: (stream: Duplex) => void = (stream) => void stream.on("error", () => undefined).pipe(stream),
): Promise<OpenDoors> {
  await using stack = new AsyncDisposableStack();
  const dir = stack.use(temporaryFolder()).path;
  const http = createServer((_request, response) => response.end());
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  stack.defer(() => http.closeAllConnections());
  stack.defer(() => void http.close());
  const addresses: (string | undefined)[] = [];
  const streams: Duplex[] = [];
  const refused: Record<string, number> = {};
  const listeners = stack.use(
    await openListeners(
      {
        host: "127.0.0.1",
        plainHost: "127.0.0.1",
        mqttPort: 0,
        mqttsPort: 0,
        limits: readConfig({ ...WITHOUT_RATES, ...env }, () => ""),
        certificates: { dir, hostnames: ["localhost"], certFile: undefined, keyFile: undefined },
        http,
        log: { debug() {}, info() {}, warn() {}, error() {} },
        metrics: {
          observe() {},
          count(_name, { reason = "" } = {}) {
            refused[reason] = (refused[reason] ?? 0) + 1;
          },
        },
      },
      (stream, address) => {
        addresses.push(address);
        streams.push(stream);
        onStream(stream);
      },
    ),
  );
  const opened = stack.move();
  return {
    mqttPort: listeners.mqttPort as number,
    mqttsPort: listeners.mqttsPort as number,
    httpPort: (http.address() as AddressInfo).port,
    caFile: listeners.caFile as string,
    listeners,
    addresses,
    streams,
    refused,
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}
