import type { IncomingMessage } from "node:http";
import type { Context, Middleware } from "koa";
import { HubError } from "../core/errors.ts";
import { newAudit } from "../core/event.ts";
import { type Access, isPermission, NO_PERMISSIONS, organizationAccess, scopeOf } from "../core/permissions.ts";
import { type Actor, actorOf, type Principal, SYSTEM } from "../core/principal.ts";
import { insertAudit } from "../store/audit.ts";
import { insertEvents } from "../store/events.ts";
import type { Db } from "../store/open.ts";
import { inTransaction } from "../store/transaction.ts";
import { authenticate, requireAccess } from "./authenticate.ts";
import { readBody } from "./body.ts";
import type { ApiContext } from "./context.ts";
import { asHubError, envelopeOf } from "./errors.ts";
import { type AnswerSlot, beginAttempt, checkIdempotencyKey, repetitionIdOf, type StoredAnswer } from "./idempotency.ts";
import type { Remote } from "./remote.ts";
import { addressKey } from "./rate-limits.ts";
import { sendCookie, tokenOf } from "./session-cookie.ts";
import { type Answer, type Call, type Caller, type Effect, type Route, takesIdempotencyKey } from "./route.ts";

/** What the outer middleware knows of a request. */
export interface RequestState {
  requestId: string;
  /** The route's pattern, for log and metrics; absent for an unknown path. */
  route?: string;
}

/** Runs a route: who calls, is the input right, was it asked before, do it, answer. */
export function dispatch(context: ApiContext, route: Route, remoteOf: (request: IncomingMessage) => Remote): Middleware<RequestState> {
  return async (ctx) => {
    ctx.state.route = route.path;
    const remote = remoteOf(ctx.req);
    const request = { method: ctx.method, headers: ctx.req.headers, token: tokenOf(ctx) };
    const spend = async (key: string): Promise<void> => {
      const { headers, refusal } = await context.rateLimits.spend(key);
      ctx.set({ ...headers });
      if (refusal) throw refusal;
    };
    const { principal, renewed } = await authenticate(context, route.access, request).catch(async (error: unknown) => {
      // Whoever guesses is counted too.
      await spend(addressKey(remote.address));
      throw error;
    });
    await spend(principal === undefined ? addressKey(remote.address) : `${principal.kind}:${principal.id}`);
    sendCookie(ctx, renewed, remote.isSecure);
    const rights = rightsOf(context, principal);
    requireAccess(route.access, rights);
    const may = { rights, scope: isPermission(route.access) ? scopeOf(rights, route.access) : NOTHING };
    const body = route.method === "GET" ? undefined : await readBody(ctx.req);
    const run = route.prepare({ params: ctx["params"], query: queryOf(ctx), body: body?.json });
    const requestId = ctx.state.requestId;
    const caller = { address: remote.address, userAgent: ctx.req.headers["user-agent"] };

    const key = ctx.get("idempotency-key");
    if (key === "" || !takesIdempotencyKey(route)) {
      const answer = await run(callOf(context, { principal, ...may, requestId, caller }, undefined));
      sendCookie(ctx, answer.cookie, remote.isSecure);
      return send(ctx, { status: answer.status, text: textOf(answer.body) });
    }
    const attempt = {
      principalId: principal?.id ?? route.access,
      endpoint: `${route.method} ${ctx.path}`,
      key: checkIdempotencyKey(key),
      query: ctx.querystring,
      body: body?.bytes ?? Buffer.alloc(0),
    };
    const begun = await beginAttempt(context, attempt);
    if ("replay" in begun) {
      ctx.set("idempotency-replayed", "true");
      return send(ctx, begun.replay);
    }
    send(
      ctx,
      await runOnce(context, begun.slot, {
        requestId,
        work: (slot) => run(callOf(context, { principal, ...may, requestId, caller, repetitionId: repetitionIdOf(attempt) }, slot)),
      }),
    );
  };
}

/** The answer is kept with the effect where the route commits, else right after; an answer of 5xx is not kept. */
async function runOnce(
  context: ApiContext,
  slot: AnswerSlot,
  request: { requestId: string; work: (slot: TrackedSlot) => Promise<Answer> },
): Promise<StoredAnswer> {
  const tracked: TrackedSlot = { slot, isFinished: false };
  try {
    const answer = await request.work(tracked);
    const stored = { status: answer.status, text: textOf(answer.body) };
    if (!tracked.isFinished) await slot.finish(context.store.db, stored);
    return stored;
  } catch (cause) {
    const error = asHubError(cause);
    if (error.status >= 500) await slot.abandon();
    else await slot.finish(context.store.db, { status: error.status, text: textOf(envelopeOf(error, request.requestId)) });
    throw cause;
  }
}

interface TrackedSlot {
  readonly slot: AnswerSlot;
  isFinished: boolean;
}

function callOf(
  context: ApiContext,
  from: Pick<Call, "rights" | "scope"> & { principal: Principal | undefined; requestId: string; caller: Caller; repetitionId?: string },
  tracked: TrackedSlot | undefined,
): Omit<Call, "params" | "query" | "body"> {
  const actor = from.principal === undefined ? SYSTEM : actorOf(from.principal);
  return {
    context,
    principal: from.principal,
    rights: from.rights,
    scope: from.scope,
    requestId: from.requestId,
    caller: from.caller,
    repetitionId: from.repetitionId,
    commit: (work) => commit(context, { work, actor, requestId: from.requestId, tracked }),
  };
}

const NOWHERE = organizationAccess("", NO_PERMISSIONS);
const NOTHING = scopeOf(NOWHERE, "device.read");

/** A device has topics, not rows. */
function rightsOf({ access }: ApiContext, principal: Principal | undefined): Access {
  return principal === undefined || principal.kind === "device" ? NOWHERE : access.of(principal);
}

async function commit(
  context: ApiContext,
  request: { work: (db: Db) => Promise<Effect>; actor: Actor; requestId: string; tracked: TrackedSlot | undefined },
): Promise<Answer> {
  const { tracked, requestId } = request;
  const effect = await inTransaction(context.store.db, async (trx) => {
    const done = await request.work(trx);
    const events = done.events ?? [];
    const about = { actor: request.actor, requestId, correlationId: events[0]?.correlationId ?? null, now: context.clock() };
    if (events.length > 0) await insertEvents(trx, events);
    await insertAudit(
      trx,
      done.audit.map((note) => newAudit({ ...about, ...note, details: note.details ?? {} })),
    );
    await tracked?.slot.finish(trx, { status: done.answer.status, text: textOf(done.answer.body) });
    return done;
  });
  if (tracked) tracked.isFinished = true;
  for (const step of [effect.afterwards, () => context.events.emit(effect.events ?? [])]) {
    try {
      await step?.();
    } catch (error) {
      // Committed is committed: the caller must not be told to try again.
      context.log.error({ err: error, request_id: requestId }, "what follows a commit failed");
    }
  }
  return effect.answer;
}

function queryOf(ctx: Context): Record<string, unknown> {
  if (/%00|\0/.test(ctx.url)) throw new HubError("validation_error", "NUL characters are not accepted");
  return { ...ctx.query };
}

const textOf = (body: unknown): string => (body === undefined ? "" : JSON.stringify(body));

function send(ctx: Context, answer: StoredAnswer): void {
  ctx.status = answer.status;
  if (answer.text === "") {
    ctx.body = null;
    ctx.status = answer.status;
    return;
  }
  ctx.type = "application/json; charset=utf-8";
  ctx.body = answer.text;
}
