import { readFile } from "node:fs/promises";
import { mosquittoMissing } from "../support/services.ts";
import { startGenerator } from "./child.ts";
import { type HubProcess, startHubProcess } from "./hub-process.ts";
import { givenPeer, type Peer, startMosquittoPeer } from "./peers.ts";
import type { Place, Span } from "./scenarios.ts";
import type { Target, Transport } from "./wire.ts";

export interface Plan {
  readonly runs: number;
  readonly span: Span;
  /** URL of another anonymous broker than mosquitto. */
  readonly broker: string | undefined;
}

/** The hub and what it is compared with, up at the same time; only one of them gets work. */
export interface Stage extends AsyncDisposable {
  readonly hub: HubProcess;
  readonly peer: Peer | undefined;
  /** Topics below it pass through the hub and are not stored. */
  readonly prefix: string;
  hubPlace(transport: Transport): Place;
  /** undefined when the other broker is not there, or not over this transport. */
  otherPlace(transport: Transport): Place | undefined;
}

export async function openStage({ broker }: Plan): Promise<Stage> {
  await using stack = new AsyncDisposableStack();
  const hub = stack.use(await startHubProcess());
  const peer = await startPeer(broker, hub);
  if (peer) stack.use(peer);
  const login = await hub.addService("bench-service");
  const { data } = (await hub.get("/api/v1/organizations")) as { data: { id: string }[] };
  const running = stack.move();
  return {
    hub,
    peer,
    prefix: `hexa-app/${data[0]?.id}/bus`,
    hubPlace: (transport) => ({ target: hub.targets[transport], login }),
    otherPlace(transport) {
      const target = peer?.targets[transport];
      return target && { target, login: {} };
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/** A process that takes everything and does a broker's work in none of it. Over TLS it has the hub's certificate. */
export async function openSink({ hub }: Stage, transport: Transport): Promise<{ readonly place: Place } & AsyncDisposable> {
  const { certFile, keyFile } = hub.certificate;
  const pem = transport === "tls" ? { cert: await readFile(certFile, "utf8"), key: await readFile(keyFile, "utf8") } : {};
  const sink = await startGenerator<Target>({ kind: "sink", transport, ...pem });
  return {
    place: { target: { ...sink.answer, ca: hub.targets.tls.ca }, login: {} },
    [Symbol.asyncDispose]: () => sink[Symbol.asyncDispose](),
  };
}

/** undefined when nothing is there to compare with; the hub is measured all the same. */
async function startPeer(broker: string | undefined, hub: HubProcess): Promise<Peer | undefined> {
  if (broker !== undefined) return givenPeer(broker);
  const missing = mosquittoMissing();
  if (missing === undefined) return await startMosquittoPeer(hub.certificate, hub.targets.tls.ca);
  process.stderr.write(`${missing}: no comparison\n`);
  return undefined;
}
