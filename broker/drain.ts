import type { Duplex } from "node:stream";
import mqttPacket from "mqtt-packet";

/** A client that is to leave, as Aedes keeps it. */
export interface Leaving {
  readonly conn: Duplex & { readonly socket?: { close(code: number, reason: string): void } };
  readonly version: number;
  readonly connected: boolean;
}

export interface DrainOptions {
  readonly clients: readonly Leaving[];
  /** Resolves when what came up to now is committed. */
  readonly settled: () => Promise<unknown>;
  /** Another node, for clients that understand: `host:port`. */
  readonly serverReference?: string | undefined;
  /** Everything together; clients that take longer are cut off. 5 s unless a test is in a hurry. */
  readonly limitMs?: number;
}

const LIMIT_MS = 5_000;
/** A fleet that is sent away in one instant comes back in one. */
const MAX_SPREAD_MS = 2_000;
const SPREAD_MS_PER_CLIENT = 4;
const TICK_MS = 20;
/** How long a client may take to read its last bytes and hang up. */
const GRACE_MS = 2_000;
const GOING_AWAY = 1_001;

/**
 * Sends clients away, spread over up to 2 s: MQTT 5 hears why, and where else to go [MQTT-3.14.0-1]; everybody gets what is
 * written for it already. Nothing more is taken from them. Resolves when all are gone, frozen ones too. Never rejects.
 */
export async function drain({ clients, settled, serverReference, limitMs = LIMIT_MS }: DrainOptions): Promise<void> {
  const deadline = performance.now() + limitMs;
  const leftMs = (): number => Math.max(0, deadline - performance.now());
  const goodbye = goodbyeFor(serverReference);
  const gone: Promise<void>[] = [];
  const size = batchSize(clients.length);
  for (let start = 0; start < clients.length; start += size) {
    await Promise.race([settled().catch(() => undefined), pause(leftMs() / 2)]);
    // Acknowledgements of one turn are written together at its end.
    for (let turns = 0; turns < 2; turns++) await new Promise((resolve) => setImmediate(resolve));
    for (const client of clients.slice(start, start + size)) gone.push(sendAway(client, goodbye, Math.min(GRACE_MS, leftMs())));
    if (start + size < clients.length) await pause(Math.min(TICK_MS, leftMs()));
  }
  await Promise.all(gone);
}

/** How many leave in each tick. */
export function batchSize(count: number): number {
  const spreadMs = Math.min(MAX_SPREAD_MS, count * SPREAD_MS_PER_CLIENT);
  return Math.max(1, Math.ceil(count / Math.ceil(Math.max(1, spreadMs / TICK_MS))));
}

/** 0x8B: server shutting down; 0x9C: use another server. */
function goodbyeFor(serverReference: string | undefined): Buffer {
  const reason = serverReference === undefined ? { reasonCode: 0x8b } : { reasonCode: 0x9c, properties: { serverReference } };
  return mqttPacket.generate({ cmd: "disconnect", ...reason }, { protocolVersion: 5 });
}

function sendAway({ conn, version, connected }: Leaving, goodbye: Buffer, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    if (conn.destroyed) return resolve();
    const timer = setTimeout(() => conn.destroy(), graceMs);
    conn.once("close", () => {
      clearTimeout(timer);
      resolve();
    });
    if (version === 5 && connected && !conn.writableEnded) conn.write(goodbye);
    conn.socket?.close(GOING_AWAY, "the hub stops");
    conn.end();
    // Read and thrown away: closing over unread bytes is a reset, which overtakes the last words. Without an
    // acknowledgement the client sends it again.
    conn.removeAllListeners("data").removeAllListeners("readable");
    conn.resume();
  });
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
