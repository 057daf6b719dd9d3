import { fork } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect as connectTcp } from "node:net";
import type { HubProcess } from "../support/hub.ts";
import { connectPacket } from "../support/packets.ts";
import { metricOf } from "../broker/limits-scene.ts";
import type { FleetOrder, FleetReport } from "./storm-clients.ts";

export const MIB = 1_048_576;

export interface Fleet extends AsyncDisposable {
  readonly report: FleetReport;
}

/** Clients in a process of their own; ended with it. */
export function startFleet(order: FleetOrder): Fleet {
  const child = fork(new URL("storm-clients.ts", import.meta.url), { stdio: ["ignore", "ignore", "inherit", "ipc"] });
  let report: FleetReport = { connected: 0, visits: 0, failures: 0 };
  child.on("message", (message) => {
    report = message as FleetReport;
  });
  child.send(order);
  const gone = once(child, "exit");
  return {
    get report() {
      return report;
    },
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await gone;
    },
  };
}

/** CONNECT packets of one service account under that many client ids. */
export function connectsOf(account: { username: string; password: string }, count: number): string[] {
  return Array.from({ length: count }, (_, index) =>
    connectPacket(account, { clientId: `${account.username}-${index}`, keepalive: 600 }).toString("base64"),
  );
}

/** Resident memory in bytes. */
export function memoryOf(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1]) * 1_024;
}

export interface Observed {
  /** The slowest answer of /health. */
  healthMs: number;
  /** The worst p99 of any 10 s. */
  loopP99Ms: number;
  loopMaxMs: number;
  /** The most memory, in bytes. */
  rssBytes: number;
}

/** Asks the hub all the time how it is, until `isDone`; throws after `limitMs`. */
export async function observe(
  hub: HubProcess,
  isDone: () => boolean | Promise<boolean>,
  limitMs: number,
): Promise<Observed & { tookMs: number }> {
  const startedAt = performance.now();
  const seen: Observed = { healthMs: 0, loopP99Ms: 0, loopMaxMs: 0, rssBytes: 0 };
  for (;;) {
    const askedAt = performance.now();
    const response = await fetch(new URL("/health", hub.http), { signal: AbortSignal.timeout(10_000) });
    if (response.status !== 200) throw new Error(`/health answered ${response.status}`);
    await response.arrayBuffer();
    seen.healthMs = Math.max(seen.healthMs, performance.now() - askedAt);
    const late = async (quantile: string) => (await metricOf(hub, `hexahub_event_loop_delay_seconds{quantile="${quantile}"}`)) * 1_000;
    seen.loopP99Ms = Math.max(seen.loopP99Ms, await late("0.99"));
    seen.loopMaxMs = Math.max(seen.loopMaxMs, await late("1"));
    seen.rssBytes = Math.max(seen.rssBytes, memoryOf(hub.child.pid as number));
    const tookMs = performance.now() - startedAt;
    if (await isDone()) return { ...seen, tookMs };
    if (tookMs > limitMs) throw new Error(`not done after ${limitMs} ms; ${JSON.stringify(seen)}`);
  }
}

/** A TCP connection that says `bytes` and then nothing more. */
export async function halfOpen(hub: HubProcess, bytes: Buffer): Promise<{ readonly isClosed: boolean } & Disposable> {
  const socket = connectTcp(Number(new URL(hub.mqtt).port), "127.0.0.1");
  let isClosed = false;
  socket
    .on("error", () => undefined)
    .on("close", () => {
      isClosed = true;
    });
  await once(socket, "connect");
  socket.resume();
  socket.write(bytes);
  return {
    get isClosed() {
      return isClosed;
    },
    [Symbol.dispose]: () => void socket.destroy(),
  };
}
