import { text } from "node:stream/consumers";
import { startVirtualDevice } from "../../firmware/virtual/device.ts";
import { type Account, openAll, openConnection, type Target } from "./connection.ts";
import { type DurableSpec, runDurable } from "./durable.ts";
import { startSink } from "./sink.ts";
import { runStream, type StreamSpec } from "./stream.ts";

/** Devices that are connected, subscribed and quiet. */
export interface IdleSpec extends Target {
  readonly kind: "idle";
  readonly devices: readonly Account[];
}
/** Virtual devices with a relay that do what they are told. */
export interface DevicesSpec extends Target {
  readonly kind: "devices";
  readonly devices: readonly Account[];
}
export interface SinkSpec {
  readonly kind: "sink";
}
export type LoadSpec = StreamSpec | DurableSpec | IdleSpec | DevicesSpec | SinkSpec;

/*
 * The generator, a process of its own: one spec as a line of JSON on stdin, one result as a line of JSON on stdout.
 * idle, devices and sink answer when they are up, and stay until stdin ends.
 */
if (import.meta.main) await main();

async function main(): Promise<void> {
  const { line, ended } = await firstLine();
  const spec = JSON.parse(line) as LoadSpec;
  switch (spec.kind) {
    case "stream":
      say(await runStream(spec));
      break;
    case "durable":
      say(await runDurable(spec));
      break;
    case "sink": {
      const { host, port } = await startSink();
      say({ host, port });
      await ended;
      break;
    }
    case "idle":
      await openAll(spec.devices, (device) => openConnection(spec, device, { clean: false, filter: `hexa/${device.clientId}/down/#` }));
      say({ connected: spec.devices.length });
      await ended;
      break;
    case "devices":
      for (const { clientId, password = "" } of spec.devices)
        await startVirtualDevice({
          url: `mqtt://${spec.host}:${spec.port}`,
          uid: clientId,
          password,
          deviceClass: "relay_controller",
          capabilities: { relays: 4 },
        });
      say({ connected: spec.devices.length });
      await ended;
      break;
  }
  process.exit(0);
}

async function firstLine(): Promise<{ line: string; ended: Promise<unknown> }> {
  let received = "";
  for await (const chunk of process.stdin.iterator({ destroyOnReturn: false })) {
    received += String(chunk);
    const end = received.indexOf("\n");
    if (end >= 0) return { line: received.slice(0, end), ended: text(process.stdin) };
  }
  throw new Error("no spec came on stdin");
}

function say(result: object): void {
  process.stdout.write(`${JSON.stringify(result)}\n`);
}
