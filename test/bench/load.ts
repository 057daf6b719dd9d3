import { text } from "node:stream/consumers";
import { type Account, openAll, openConnection } from "./connection.ts";
import type { AnswersSpec } from "./answers.ts";
import { type DurableSpec, runDurable } from "./durable.ts";
import { type LatencySpec, runLatency } from "./latency.ts";
import type { QoS } from "./packets.ts";
import { type SinkOptions, startSink } from "./sink.ts";
import { runStream, type StreamSpec } from "./stream.ts";
import type { Target } from "./wire.ts";

/** Clients that are connected and quiet. */
export interface IdleSpec extends Target {
  readonly kind: "idle";
  readonly clients: readonly (Account & { readonly filter?: string | undefined })[];
  readonly clean: boolean;
  readonly qos?: QoS | undefined;
}
/** Virtual devices with a relay that do what they are told. */
export interface DevicesSpec extends Target {
  readonly kind: "devices";
  readonly devices: readonly (Account & { readonly taskKey?: { readonly id: string; readonly key: string } | undefined })[];
  /** Tasks as envelopes, for which each needs its key. */
  readonly knowsTasks?: boolean | undefined;
}
export interface SinkSpec extends SinkOptions {
  readonly kind: "sink";
}
export type LoadSpec = StreamSpec | AnswersSpec | LatencySpec | DurableSpec | IdleSpec | DevicesSpec | SinkSpec;

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
    case "latency":
      say(await runLatency(spec));
      break;
    case "durable":
      say(await runDurable(spec));
      break;
    case "answers":
      // Only here: it brings a whole client, and every other turn would wait for it.
      say(await (await import("./answers.ts")).runAnswers(spec));
      break;
    case "sink": {
      const { host, port, transport } = await startSink(spec);
      say({ host, port, transport });
      await ended;
      break;
    }
    case "idle": {
      const { clean, qos } = spec;
      await openAll(spec.clients, (client) => openConnection(spec, client, { clean, qos, filter: client.filter }));
      say({ connected: spec.clients.length });
      await ended;
      break;
    }
    case "devices": {
      // Only here: it brings a whole client, and every other turn would wait for it.
      const { startVirtualDevice } = await import("../../firmware/virtual/device.ts");
      for (const { clientId, password = "", taskKey } of spec.devices)
        await startVirtualDevice({
          url: `mqtt://${spec.host}:${spec.port}`,
          uid: clientId,
          password,
          deviceClass: "relay_controller",
          capabilities: spec.knowsTasks ? { relays: 4, tasks: true } : { relays: 4 },
          taskKey,
        });
      say({ connected: spec.devices.length });
      await ended;
      break;
    }
  }
  process.exit(0);
}

async function firstLine(): Promise<{ line: string; ended: Promise<unknown> }> {
  const received: string[] = [];
  for await (const chunk of process.stdin.iterator({ destroyOnReturn: false })) {
    const piece = String(chunk);
    const end = piece.indexOf("\n");
    if (end >= 0) return { line: received.join("") + piece.slice(0, end), ended: text(process.stdin) };
    received.push(piece);
  }
  throw new Error("no spec came on stdin");
}

function say(result: object): void {
  process.stdout.write(`${JSON.stringify(result)}\n`);
}
