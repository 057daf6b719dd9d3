import { readdirSync } from "node:fs";
import { startGenerator } from "./child.ts";
import { passed } from "./pace.ts";
import type { Row } from "./report.ts";
import { rssBytes } from "./rss.ts";
import type { Place } from "./scenarios.ts";
import { openStage, type Plan } from "./stage.ts";
import type { Transport } from "./wire.ts";

/** Garbage of the handshakes has time to go; what stays is what an idle connection costs. */
const SETTLE_MS = 4_000;
const KILOBYTE = 1_000;
const MAX_KB = 20;
const CASES = [
  { name: "10,000 idle connections, TCP", transport: "tcp", count: 10_000, goal: { atMost: MAX_KB } },
  { name: "1,000 idle connections, TLS", transport: "tls", count: 1_000, goal: undefined },
] as const;

/** Fresh processes for each transport: memory that was freed once would be used again. */
export async function measureIdle(plan: Plan): Promise<Row[]> {
  const rows: Row[] = [];
  for (const { name, transport, count, goal } of CASES) {
    await using stage = await openStage(plan);
    const hub = await hold(stage.hubPlace(transport), stage.hub.pid, { transport, count });
    const place = stage.otherPlace(transport);
    const pid = stage.peer?.pid;
    const other = place && pid !== undefined ? await hold(place, pid, { transport, count }) : undefined;
    rows.push(
      { name: `${name}: RSS of each`, unit: "KB", hub: hub.bytesEach / KILOBYTE, other: other && other.bytesEach / KILOBYTE, goal },
      { name: "  connected", unit: "connections/s", hub: hub.connectsPerS, other: other?.connectsPerS },
    );
  }
  return rows;
}

interface Held {
  readonly bytesEach: number;
  readonly connectsPerS: number;
}

/** RSS after minus before, for each connection, of MQTT 3.1.1 clients without a subscription. */
async function hold({ target, login }: Place, pid: number, { transport, count }: { transport: Transport; count: number }): Promise<Held> {
  const clients = Array.from({ length: count }, (_, index) => ({ ...login, clientId: `idle-${transport}-${index}` }));
  const before = rssBytes(pid);
  const startedAt = performance.now();
  await using _generator = await startGenerator<object>({ kind: "idle", ...target, clients, clean: true });
  const seconds = (performance.now() - startedAt) / 1_000;
  await passed(SETTLE_MS);
  const open = readdirSync(`/proc/${pid}/fd`).length;
  if (open < count) throw new Error(`a broker holds ${open} of ${count} idle connections`);
  return { bytesEach: (rssBytes(pid) - before) / count, connectsPerS: count / seconds };
}
