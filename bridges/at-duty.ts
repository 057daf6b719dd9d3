import type { NodeCalls } from "../core/bus.ts";
import { type ErrorCode, HubError } from "../core/errors.ts";

type Work<T> = (organizationId: string) => Promise<T>;
/** As it goes from node to node. */
interface Reply {
  readonly value?: unknown;
  readonly error?: { readonly code: ErrorCode; readonly message: string };
}

/** What only the node can say or do that has a duty, asked at any of them. */
export interface AtDuty<Works> extends Disposable {
  /** undefined where no node has the duty right now, or it does not answer in time. Throws the {@link HubError} that the node threw. */
  ask<Name extends keyof Works & string>(
    name: Name,
    organizationId: string,
    timeoutMs: number,
  ): Promise<{ value: ResultOf<Works[Name]> } | undefined>;
}
type ResultOf<W> = W extends Work<infer T> ? T : never;

/** `isHere`: whether this node has the duty now. What the works resolve to has to be JSON. */
export function openAtDuty<Works extends Readonly<Record<string, Work<unknown>>>>(
  calls: NodeCalls,
  { duty, isHere, works }: { readonly duty: string; readonly isHere: () => boolean; readonly works: Works },
): AtDuty<Works> {
  const call = `bridges.${duty}`;
  const handling = calls.handle(call, async (request): Promise<Reply | undefined> => {
    const { name, organization_id: organizationId } = request as { name: string; organization_id: string };
    const work = Object.hasOwn(works, name) ? works[name] : undefined;
    if (!work || !isHere()) return undefined;
    try {
      return { value: await work(organizationId) };
    } catch (error) {
      if (!(error instanceof HubError)) throw error;
      return { error: { code: error.code, message: error.message } };
    }
  });
  return {
    async ask(name, organizationId, timeoutMs) {
      const work = works[name] as Work<unknown>;
      if (isHere()) return { value: (await work(organizationId)) as ResultOf<Works[typeof name]> };
      const answers = (await calls.askOthers(call, { name, organization_id: organizationId }, timeoutMs)) as (Reply | undefined)[];
      const reply = answers.find((one) => one !== undefined);
      if (reply?.error) throw new HubError(reply.error.code, reply.error.message);
      return reply && { value: reply.value as ResultOf<Works[typeof name]> };
    },
    [Symbol.dispose]: () => handling[Symbol.dispose](),
  };
}

/** There is a node at the end of a lease at the latest. */
export const nobodyHasIt = (what: string): HubError =>
  new HubError("unavailable", `no node of the cluster has ${what} right now: another one takes it over within half a minute`);
