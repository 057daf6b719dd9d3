import type { Command, CommandRequest } from "../core/command.ts";
import type { Device } from "../core/device.ts";
import type { MessageIdentity } from "../core/message-identity.ts";
import type { Risk } from "../core/risk.ts";
import type { NewTask, Task } from "../core/task.ts";
import { findEffect, noteReceived } from "../store/received-messages.ts";
import type { Db } from "../store/open.ts";
import { findTaskOfCommand } from "../store/tasks.ts";
import { inTransaction } from "../store/transaction.ts";

export interface GateContext {
  readonly db: Db;
  readonly clock: () => number;
  /** Judges, and remembers what it has let through. */
  readonly judge: (request: Pick<NewTask, "organizationId" | "device" | "actions" | "actor" | "source">) => Promise<Risk>;
  readonly park: (trx: Db, wanted: NewTask, risk: Risk) => Promise<Task>;
}

/** A command on its way to a device, about which a person may have to be asked. */
export interface Asked {
  readonly request: CommandRequest;
  readonly commandId: string;
  readonly device: Device & { readonly organizationId: string };
  /** TOGGLE as what it means now: what is approved is what is done. */
  readonly command: Command;
}

/** For its device, once it is approved, where the asker has said nothing. */
const WAIT_MS = 60_000;

/** The gate that every command passes, whoever asks: what is risky becomes a task that waits for a person. */
export class Gate {
  readonly #context: GateContext;

  constructor(context: GateContext) {
    this.#context = context;
  }

  /** The task that the command has become; undefined if it may go on. */
  async stop({ request, commandId, device, command }: Asked): Promise<Task | undefined> {
    const { actor, source } = request;
    const about = { organizationId: device.organizationId, device, actions: [command], actor, source };
    const risk = await this.#context.judge(about);
    if (!risk.isHigh) return undefined;
    const wanted: NewTask = {
      ...about,
      name: `${command.command} ${device.name}`,
      commandId,
      correlationId: request.correlationId,
      causationId: request.causationId,
      ruleVersion: request.ruleVersion,
      // Who approves it expects it now, or not at all: nobody opens a gate hours later.
      waitMs: request.queueForMs ?? WAIT_MS,
    };
    return await inTransaction(this.#context.db, async (trx) => {
      const earlier = request.origin && (await this.#parkedBefore(trx, request.origin, commandId));
      return earlier ?? (await this.#context.park(trx, wanted, risk));
    });
  }

  /** What another node has made of the same message at the same time. */
  async #parkedBefore(trx: Db, identity: MessageIdentity, effectId: string): Promise<Task | undefined> {
    const now = this.#context.clock();
    const known = await noteReceived(trx, [{ identity, effectId }], now);
    const effect = known.size > 0 ? await findEffect(trx, identity, now) : undefined;
    return effect === undefined ? undefined : await findTaskOfCommand(trx, effect);
  }
}
