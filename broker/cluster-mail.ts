import type { Log } from "../core/bus.ts";
import type { ClientClaims } from "./cluster-claims.ts";
import { type Letter, MAX_BROKER_KIND, OWN_KINDS, parseSeq } from "./cluster-frame.ts";
import type { ClusterHandlers } from "./cluster-handlers.ts";
import type { SharedInterest } from "./cluster-interest.ts";
import type { Settling } from "./cluster-settling.ts";
import type { Outbox } from "./cluster-outbox.ts";

export interface MailContext {
  readonly log: Log;
  readonly handlers: ClusterHandlers;
  readonly outbox: Outbox;
  readonly interest: SharedInterest;
  readonly claims: ClientClaims;
  readonly settling: Settling;
}

type Work = Promise<void> | undefined;

/** Gives each message from `sender` to whom it is for. What comes back is to be awaited, and never rejects. */
export function handleMail(context: MailContext, sender: string, letters: readonly Letter[]): Promise<unknown> | undefined {
  const { handlers } = context;
  return each(letters, (letter) => {
    const { kind, bytes } = letter;
    if (kind > MAX_BROKER_KIND) return guarded(context, letter, () => handleOwn(context, sender, letter));
    return guarded(context, letter, () => handlers.message(sender, kind, bytes));
  });
}

/** The same for what was meant for a node that is dead; what the cluster said to it itself is void. */
export function handleDeadMail(
  context: Pick<MailContext, "log" | "handlers">,
  mail: { readonly deadId: string; readonly sender: string; readonly letters: readonly Letter[] },
): Promise<unknown> | undefined {
  const { deadId, sender, letters } = mail;
  return each(letters, (letter) => {
    const { kind, bytes } = letter;
    if (kind > MAX_BROKER_KIND) return undefined;
    return guarded(context, letter, () => context.handlers.deadMail(deadId, sender, kind, bytes));
  });
}

function handleOwn({ outbox, interest, claims, settling }: MailContext, sender: string, { kind, bytes }: Letter): void {
  if (kind === OWN_KINDS.received) outbox.received(sender, parseSeq(bytes));
  else if (!interest.receive(sender, kind, bytes) && !settling.receive(sender, kind, bytes)) claims.receive(sender, kind, bytes);
}

/** Most messages are handled at once: no promise is made for them. */
function each(letters: readonly Letter[], handle: (letter: Letter) => Work): Promise<unknown> | undefined {
  let promised: Promise<void>[] | undefined;
  for (const letter of letters) {
    const work = handle(letter);
    if (work) (promised ??= []).push(work);
  }
  return promised && Promise.all(promised);
}

function guarded({ log }: Pick<MailContext, "log">, { kind }: Letter, work: () => Promise<void> | void): Work {
  const failed = (err: unknown) => log.error({ err, kind }, "a message of a node could not be handled");
  try {
    return work()?.catch(failed);
  } catch (err) {
    failed(err);
    return undefined;
  }
}
