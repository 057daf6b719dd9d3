import type { IncomingMessage } from "node:http";
import type { Context, Middleware } from "koa";
import { HubError } from "../core/errors.ts";
import { newAudit } from "../core/event.ts";
import { type Access, isPermission, NO_PERMISSIONS, organizationAccess, scopeOf } from "../core/permissions.ts";
import { actorOf, type Principal, SYSTEM, tokenScopeOf } from "../core/principal.ts";
import { insertAudit } from "../store/audit.ts";
import { isForeignKeyViolation } from "../store/database-errors.ts";
import { insertEvents } from "../store/events.ts";
import type { Db } from "../store/open.ts";
import { inTransaction } from "../store/transaction.ts";
import { findUser } from "../store/users.ts";
import { changeAnswer, errorAnswer, readAnswer, send } from "./answer.ts";
import { authenticate, requireAccess, requireWholeAccount } from "./authenticate.ts";
import { readBody, readIncoming } from "./body.ts";
import type { ApiContext } from "./context.ts";
import { asHubError, envelopeOf } from "./errors.ts";
import { type AnswerSlot, beginAttempt, checkIdempotencyKey, repetitionIdOf, type StoredAnswer } from "./idempotency.ts";
import { type Precondition, preconditionOf, requiresMatch } from "./preconditions.ts";
import type { Remote } from "./remote.ts";
import { addressKey } from "./rate-limits.ts";
import { noteRefusal, type RefusedRequest } from "./refusals.ts";
import { sendCookie, tokenOf } from "./session-cookie.ts";
import { type Answer, type Call, type Effect, type Route, takesIdempotencyKey } from "./route.ts";
import { createStreams } from "./stream-answer.ts";
import type { Trace } from "./trace.ts";
import { openUpload } from "./upload.ts";

/** What the outer middleware knows of a request. */
export interface RequestState {
  requestId: string;
  /** The route's pattern, for log and metrics; absent for an unknown path. */
  route?: string;
  trace: Trace;
}

type DispatchContext = Parameters<Middleware<RequestState>>[0];
interface Asker {
  readonly principal: Principal | undefined;
  readonly remote: Remote;
}

/** Runs a route: who calls, is the input right, was it asked before, do it, answer. */
export function dispatch(context: ApiContext, route: Route, remoteOf: (request: IncomingMessage) => Remote): Middleware<RequestState> {
  const sendStream = createStreams(context);

  async function serve(ctx: DispatchContext, asker: Asker): Promise<void> {
    const { principal, remote } = asker;
    const rights = rightsOf(context, principal);
    requireAccess(route.access, rights);
    requireWholeAccount(route, principal);
    const may = { rights, scope: isPermission(route.access) ? scopeOf(rights, route.access) : NOTHING };
    const { body, ...read } = await readBodyFor(route, ctx.req);
    const run = route.prepare({ params: ctx["params"], query: queryOf(ctx), body: body?.json });
    const { requestId, trace } = ctx.state;
    const traceId = trace.isGiven ? trace.traceId : null;
    const from: From = { principal, ...may, requestId, traceId, ...saidBy(ctx.req, remote), ...read, repetitionId: undefined };
    if (route.method === "GET") {
      const found = await run(callOf(context, { ...from, condition: NO_CONDITION }));
      return found.stream ? await sendStream(ctx, found.stream, principal) : send(ctx, readAnswer(ctx, found));
    }
    const condition = preconditionOf(ctx.req.headers, requiresMatch(route));
    if (condition.isGiven && route.match === undefined)
      throw new HubError("precondition_failed", "what this changes has no versions: leave If-Match and If-None-Match out");
    const key = ctx.get("idempotency-key");
    if (key === "" || !takesIdempotencyKey(route)) {
      const answer = await run(callOf(context, { ...from, condition }));
      sendCookie(ctx, answer.cookie, remote.isSecure);
      return send(ctx, changeAnswer(answer));
    }
    const attempt = {
      principalId: principal === undefined ? route.access : repeaterOf(principal),
      endpoint: `${route.method} ${ctx.path}`,
      key: checkIdempotencyKey(key),
      query: [ctx.querystring, ctx.get("if-match"), ctx.get("if-none-match")].join("\n").trimEnd(),
      body: body?.bytes ?? Buffer.alloc(0),
    };
    const begun = await beginAttempt(context, attempt);
    if ("replay" in begun) {
      ctx.set("idempotency-replayed", "true");
      return send(ctx, begun.replay);
    }
    const repetitionId = repetitionIdOf(attempt);
    const work = (tracked: TrackedSlot): Promise<Answer> => run(callOf(context, { ...from, condition, repetitionId, tracked }));
    send(ctx, await runOnce(context, begun.slot, { requestId: from.requestId, work }));
  }

  return async (ctx) => {
    ctx.state.route = route.path;
    const remote = remoteOf(ctx.req);
    const source = addressKey(remote.address);
    const request = { method: ctx.method, headers: ctx.req.headers, token: tokenOf(ctx) };
    const { requestId } = ctx.state;
    const known: RefusedRequest = { route, headers: ctx.req.headers, hasCookie: request.token !== undefined, source, requestId };
    const spend = async (key: string): Promise<void> => {
      const { headers, refusal } = await context.rateLimits.spend(key);
      ctx.set({ ...headers });
      if (refusal) throw refusal;
    };
    const { principal, renewed } = await authenticate(context, route.access, request).catch(async (error: unknown) => {
      // Whoever guesses is counted too.
      await spend(source);
      noteRefusal(context, known, error);
      throw error;
    });
    await spend(principal === undefined ? source : `${principal.kind}:${principal.id}`);
    sendCookie(ctx, renewed, remote.isSecure);
    if (principal?.kind === "operator")
      context.security.note({
        action: "operator.access",
        actor: actorOf(principal),
        organizationId: principal.organizationId,
        source,
        requestId,
      });
    await serve(ctx, { principal, remote }).catch((error: unknown) => {
      noteRefusal(context, { ...known, principal }, error);
      throw error;
    });
  };
}

/** The answer is kept with the effect where the route commits, else right after; one that is another later (5xx, 429) is not kept. */
async function runOnce(
  context: ApiContext,
  slot: AnswerSlot,
  request: { requestId: string; work: (slot: TrackedSlot) => Promise<Answer> },
): Promise<StoredAnswer> {
  const tracked: TrackedSlot = { slot, isFinished: false };
  try {
    const answer = await request.work(tracked);
    const stored = changeAnswer(answer);
    if (!tracked.isFinished) await slot.finish(context.store.db, stored);
    return stored;
  } catch (cause) {
    await endFailed(context, slot, { error: asHubError(cause), requestId: request.requestId });
    throw cause;
  } finally {
    slot.release();
  }
}

/** The caller is to hear what was wrong with the request, not with its key, which whoever repeats the request gets once it is released. */
async function endFailed(
  { store, log }: ApiContext,
  slot: AnswerSlot,
  { error, requestId }: { readonly error: HubError; readonly requestId: string },
): Promise<void> {
  try {
    if (error.status >= 500 || error.status === 429) await slot.abandon();
    else await slot.finish(store.db, errorAnswer(error.status, envelopeOf(error, requestId)));
  } catch (failure) {
    log.error({ err: failure, request_id: requestId }, "the end of a request with an idempotency key could not be stored");
  }
}

function saidBy({ headers }: IncomingMessage, { address }: Remote): Pick<Call, "caller" | "lastEventId"> {
  const { "user-agent": userAgent, "last-event-id": lastEventId } = headers;
  return { caller: { address, userAgent }, lastEventId: typeof lastEventId === "string" ? lastEventId : undefined };
}

/** A route that reads its body by itself gets it as it came. */
async function readBodyFor({ method, raw }: Route, request: IncomingMessage) {
  if (raw?.isLarge) return { incoming: undefined, upload: openUpload(request), body: undefined };
  if (raw) return { incoming: await readIncoming(request, raw.maxBytes), upload: undefined, body: undefined };
  return { incoming: undefined, upload: undefined, body: method === "GET" ? undefined : await readBody(request) };
}

interface TrackedSlot {
  readonly slot: AnswerSlot;
  isFinished: boolean;
}

/** Of a request, before it is parsed for its route. */
type From = Pick<Call, "rights" | "scope" | "requestId" | "caller" | "lastEventId" | "repetitionId" | "incoming" | "upload"> & {
  readonly principal: Principal | undefined;
  /** That the caller gave. */
  readonly traceId: string | null;
};
interface Asked extends From {
  readonly condition: Precondition;
  readonly tracked?: TrackedSlot;
}

const NO_CONDITION = preconditionOf({}, false);

function callOf(context: ApiContext, asked: Asked): Omit<Call, "params" | "query" | "body"> {
  const { principal, rights, scope, requestId, caller, lastEventId, repetitionId, incoming, upload, condition } = asked;
  return {
    context,
    principal,
    rights,
    scope,
    requestId,
    caller,
    lastEventId,
    repetitionId,
    incoming,
    upload,
    match: (version) => condition.check(version),
    commit: (work) => commit(context, asked, work),
  };
}

const NOWHERE = organizationAccess("", NO_PERMISSIONS);
const NOTHING = scopeOf(NOWHERE, "device.read");

/** Whose repetitions are told apart: an answer to somebody's login is not for a token of his that is limited. */
const repeaterOf = (principal: Principal): string => (tokenScopeOf(principal) === undefined ? principal.id : principal.credentialId);

/** A device has topics, not rows. */
function rightsOf({ access }: ApiContext, principal: Principal | undefined): Access {
  return principal === undefined || principal.kind === "device" ? NOWHERE : access.of(principal);
}

/** What smart homes show of an organisation is made of these. */
const SEEN_BY_HOMES: ReadonlySet<string> = new Set(["device", "room", "entity", "ir_code", "virtual_sensor", "demo", "scene"]);

async function commit(context: ApiContext, asked: Asked, work: (db: Db) => Promise<Effect>): Promise<Answer> {
  const { tracked, requestId, principal, condition } = asked;
  const actor = principal === undefined ? SYSTEM : actorOf(principal);
  const effect = await inTransaction(context.store.db, async (trx) => {
    const done = await work(trx);
    // Better not done than done against what the caller has asked for.
    if (condition.isGiven && !condition.isChecked) throw new Error("the route did not look at If-Match");
    const events = done.events ?? [];
    const about = { actor, requestId, correlationId: events[0]?.correlationId ?? asked.traceId, now: context.clock() };
    if (events.length > 0) await insertEvents(trx, events);
    await insertAudit(
      trx,
      done.audit.map((note) => newAudit({ ...about, ...note, details: note.details ?? {} })),
    );
    await tracked?.slot.finish(trx, changeAnswer(done.answer));
    return done;
  }).catch(async (error: unknown) => {
    throw (await isGone(context, principal, error)) ? new HubError("unauthorized", "the account is gone", { cause: error }) : error;
  });
  if (tracked) tracked.isFinished = true;
  const tellHomes = (): void => {
    const seen = effect.audit.filter(({ resourceType }) => SEEN_BY_HOMES.has(resourceType)).map((note) => note.organizationId);
    for (const organizationId of new Set(seen)) if (organizationId !== null) context.homes.changed(organizationId);
  };
  for (const step of [effect.afterwards, tellHomes, () => context.events.emit(effect.events ?? [])]) {
    try {
      await step?.();
    } catch (error) {
      // Committed is committed: the caller must not be told to try again.
      context.log.error({ err: error, request_id: requestId }, "what follows a commit failed");
    }
  }
  return effect.answer;
}

/** Somebody whose account was removed between the log-in and this: nothing can refer to them, or to what was theirs. */
async function isGone({ store }: Pick<ApiContext, "store">, principal: Principal | undefined, error: unknown): Promise<boolean> {
  return isForeignKeyViolation(error) && principal?.kind === "user" && (await findUser(store.db, principal.id)) === undefined;
}

function queryOf(ctx: Context): Record<string, unknown> {
  if (/%00|\0/.test(ctx.url)) throw new HubError("validation_error", "NUL characters are not accepted");
  return { ...ctx.query };
}
