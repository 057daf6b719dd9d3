import assert from "node:assert/strict";
import { createMetrics } from "../../api/metrics.ts";
import type { Log } from "../../core/bus.ts";
import { HubError } from "../../core/errors.ts";
import type { Task, TaskStatus } from "../../core/task.ts";
import type { TimerHandler, Timers } from "../../core/timer.ts";
import { createRecentCommands } from "../../rules/recent-commands.ts";
import { RiskDesk } from "../../rules/risk-desk.ts";
import { TaskDesk } from "../../rules/task-desk.ts";
import { openTimers } from "../../rules/timers.ts";
import { createDevice, updateDevice } from "../../store/devices.ts";
import type { Db } from "../../store/open.ts";
import { createOrganization } from "../../store/organizations.ts";
import { loadRiskPolicyDirectory } from "../../store/risk-policy-directory.ts";
import { rowsOf } from "../../store/sql.ts";
import { getTask } from "../../store/tasks.ts";
import { inTransaction } from "../../store/transaction.ts";
import { PLATFORM, SYSTEM } from "../../core/principal.ts";
import { forEachEngine } from "../store/engines.ts";

const ROUNDS = 30;
const HOUR_MS = 3_600_000;
const log: Log = {
  debug() {},
  info() {},
  warn() {},
  error: (data, message) => void process.stderr.write(`hub error: ${message} ${JSON.stringify(data)}\n`),
};

type Act = "approve" | "reject" | "cancel" | "expire";
const BECOMES: Readonly<Record<Act, TaskStatus>> = { approve: "queued", reject: "rejected", cancel: "cancelled", expire: "expired" };
const DECISIONS = ["task.approve", "task.reject", "task.cancel", "task.expire"];
const PAIRS: readonly (readonly Act[])[] = [
  ["approve", "approve"],
  ["approve", "expire"],
  ["expire", "approve"],
  ["approve", "cancel"],
  ["reject", "approve"],
  ["approve", "reject", "cancel", "expire", "approve"],
];

forEachEngine(({ test }) => {
  test("of those who decide about a task at once one wins, and nothing says otherwise", async (db) => {
    await using stack = new AsyncDisposableStack();
    const { make, act } = await openDesk(db, stack);
    const won = new Map<TaskStatus, number>();
    for (let round = 0; round < ROUNDS; round++) {
      const acts = PAIRS[round % PAIRS.length] as readonly Act[];
      const { id } = await make();
      const results = await Promise.allSettled(acts.map((one) => act(one, id)));
      const { status } = await getTask(db, PLATFORM, id);
      // The timer says nothing: it has expired the task, or somebody else was quicker.
      const winners = acts.filter((one, index) => one !== "expire" && results[index]?.status === "fulfilled");
      const last = winners.at(-1);
      // What was approved may still be given up: then nobody does it.
      const isGivenUp = winners.length === 2 && winners.includes("approve") && status === "cancelled";
      assert.ok(
        isGivenUp || (winners.length === (status === "expired" ? 0 : 1) && (last === undefined || BECOMES[last] === status)),
        `${acts.join(", ")}: ${status}, ${winners.join(", ")}`,
      );
      for (const result of results)
        if (result.status === "rejected")
          assert.ok(result.reason instanceof HubError && result.reason.code === "conflict", String(result.reason));
      const audited = await rowsOf<{ action: string }>(db, "select action from audit_outbox where resource_id = ? order by id", [id]);
      assert.equal(audited.filter(({ action }) => DECISIONS.includes(action)).length, isGivenUp ? 2 : 1, JSON.stringify(audited));
      won.set(status, (won.get(status) ?? 0) + 1);
    }
    assert.ok((won.get("queued") ?? 0) > 0 && won.size > 1, JSON.stringify([...won]));
  });
});

async function openDesk(db: Db, stack: AsyncDisposableStack) {
  const metrics = createMetrics();
  const real = stack.use(await openTimers({ db, log, metrics, clock: Date.now }));
  let due: TimerHandler<Db> | undefined;
  const timers: Timers<Db> = {
    now: () => real.now(),
    put: (trx, some) => real.put(trx, some),
    drop: (trx, kind, keys) => real.drop(trx, kind, keys),
    handle(kind, handler) {
      due = handler;
      real.handle(kind, handler);
    },
    onStep: (handler) => real.onStep(handler),
  };
  const policies = stack.use(await loadRiskPolicyDirectory(db, log));
  const desk = new TaskDesk({
    timers,
    notifier: { notify: async () => {} },
    events: { emit: async () => {} },
    metrics,
    log,
    nudge: () => {},
    risk: new RiskDesk({ db, policies, recent: createRecentCommands(), isShared: false, clock: Date.now }),
  });
  const { id: organizationId } = await createOrganization(db, { name: "Home" });
  const made = await createDevice(db, {
    name: "Gate",
    deviceClass: "relay_controller",
    capabilities: { relays: 1 },
    organizationId,
    ownerId: null,
  });
  const device = await updateDevice(db, PLATFORM, made.id, { sensitivity: "critical" });
  const make = (): Promise<Task> =>
    inTransaction(db, (trx) =>
      desk.submit(trx, {
        organizationId,
        device,
        name: "Open",
        actions: [{ command: "set_relay", relay: 0, state: "ON" }],
        actor: SYSTEM,
        source: "rest",
      }),
    );
  const decide = (id: string, verdict: "approved" | "rejected") =>
    inTransaction(db, (trx) => desk.decide(trx, id, { verdict, userId: "somebody", note: null }));
  const act = async (one: Act, id: string): Promise<unknown> => {
    switch (one) {
      case "approve":
        return await decide(id, "approved");
      case "reject":
        return await decide(id, "rejected");
      case "cancel":
        return await inTransaction(db, (trx) => desk.cancel(trx, id, SYSTEM));
      case "expire":
        return await inTransaction(db, async (trx) => {
          const timer = {
            id: "t",
            kind: "task" as const,
            key: id,
            organizationId,
            dueAt: 0,
            isRelative: true,
            payload: { status: "awaiting_confirmation" },
            attempts: 0,
          };
          return await due?.(trx, [timer], Date.now() + HOUR_MS);
        });
    }
  };
  return { make, act };
}
