import Type, { type Static, type TSchema } from "typebox";
import type { AuditEntry, Change, HubEvent } from "../core/event.ts";
import type { ErrorCode } from "../core/errors.ts";
import type { Access, Permission } from "../core/permissions.ts";
import type { DevicePrincipal, Member, Scope } from "../core/principal.ts";
import { parserFor, textParserFor } from "../core/validate.ts";
import type { Db } from "../store/open.ts";
import type { IncomingBody } from "./body.ts";
import type { ApiContext } from "./context.ts";
import type { Upload } from "./upload.ts";

/**
 * Who may call a route: anybody, the holder of the provisioning key, a device for itself, everybody who is logged in, an
 * administrator of the platform, or whoever has the permission, in the organisation or on one of its devices.
 */
export type RouteAccess = "none" | "provision" | "device" | "self" | "platform" | Permission;
export type PrincipalFor<A extends RouteAccess> = A extends "device"
  ? DevicePrincipal
  : A extends "none" | "provision"
    ? undefined
    : Member;

export interface Reply {
  readonly description: string;
  /** Absent for an answer without a body. */
  readonly schema?: TSchema;
  /** Media types of an answer that is a file. */
  readonly types?: readonly string[];
  readonly example?: unknown;
}

export interface Answer {
  readonly status: number;
  readonly body?: unknown;
  /** Instead of a body, for a GET. */
  readonly stream?: StreamedBody;
  /** Names what people can change of the resource; If-Match of a change names it again. */
  readonly version?: string;
  /** What becomes of the browser's session cookie. */
  readonly cookie?: SessionCookie;
}

/** Sent as it is read: too large for the memory, or without an end. */
export type StreamedBody = {
  readonly type: string;
  /** Holds nothing while nobody reads. Where it throws, the connection ends. */
  readonly read: () => AsyncIterable<string | Uint8Array>;
} & (
  | { readonly fileName: string; readonly isLive?: false }
  | {
      /** It goes on until somebody ends it. Whoever makes it sees to how many there are. */
      readonly isLive: true;
      /** A reader that takes nothing for so long is gone. */
      readonly stalledMs: number;
      /** The reader has gone: what `read` gives has to come to its end. */
      readonly end: () => void;
    }
);

/** The token for the cookie, and for how long the browser keeps it. */
export type SessionCookie = { readonly token: string; readonly maxAgeMs: number } | "cleared";

export type AuditNote = Pick<AuditEntry, "organizationId" | "action" | "resourceType" | "resourceId"> &
  Change & {
    readonly details?: Record<string, unknown>;
  };

/** What a transaction leaves behind: its answer, what is written beside it, and what follows once it is committed. */
export interface Effect {
  readonly answer: Answer;
  readonly audit: readonly AuditNote[];
  readonly events?: readonly HubEvent[];
  /** Must not decide the answer any more: a failure is logged and the answer stands. */
  readonly afterwards?: () => Promise<void> | void;
}

/** What a request says of where it comes from. */
export interface Caller {
  readonly address: string;
  readonly userAgent: string | undefined;
}

/** One call of a route, with everything parsed that can be parsed. */
export interface Call<A extends RouteAccess = RouteAccess, P = unknown, Q = unknown, B = unknown> {
  readonly context: ApiContext;
  readonly principal: PrincipalFor<A>;
  /** What the principal may do. Whoever belongs to no organisation may do nothing by it. */
  readonly rights: Access;
  /** Where the principal has the permission that the route is for. */
  readonly scope: Scope;
  readonly params: P;
  readonly query: Q;
  readonly body: B;
  /** Of a route that reads its body by itself. */
  readonly incoming: IncomingBody | undefined;
  /** Of a route that reads its body piece by piece. */
  readonly upload: Upload | undefined;
  readonly requestId: string;
  readonly caller: Caller;
  /** The last event that a reader of a stream has seen, as the reader says. */
  readonly lastEventId: string | undefined;
  /** The same for every repetition of a call with an idempotency key, and for no other call. */
  readonly repetitionId: string | undefined;
  /**
   * Compares the request's conditions with the version that is there now, undefined for nothing: inside the transaction,
   * with the row locked. Throws `precondition_failed` and `precondition_required`.
   */
  readonly match: (version: string | undefined) => void;
  /** Runs the work, its audit, its events and the answer kept for a repetition in one transaction. */
  readonly commit: (work: (db: Db) => Promise<Effect>) => Promise<Answer>;
}

export type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

interface Description {
  readonly method: Method;
  /** `/api/v1/devices/:id` */
  readonly path: string;
  readonly tag: string;
  readonly summary: string;
  readonly description?: string;
  readonly replies: Readonly<Record<number, Reply>>;
  /** Beside those that follow from access, input and method. */
  readonly errors?: readonly ErrorCode[];
  /** Mutations take an idempotency key unless this says false. */
  readonly idempotent?: boolean;
  /** A change of something with a version, which may or has to come with If-Match: always, or where there is something already. */
  readonly match?: "optional" | "required" | "required_if_there";
  readonly bodyExample?: unknown;
  /**
   * The body is not JSON, or not only: the route reads it by itself, piece by piece where it is too large for the memory. These are the types
   * of which the document tells.
   */
  readonly raw?: { readonly maxBytes: number; readonly types: readonly string[]; readonly isLarge?: true };
}

interface Definition<A extends RouteAccess, P extends TSchema, Q extends TSchema, B extends TSchema> extends Description {
  readonly access: A;
  readonly params?: P;
  readonly query?: Q;
  readonly body?: B;
  readonly handler: (call: Call<A, Static<P>, Static<Q>, Static<B>>) => Promise<Answer>;
}

/** A route as a value: Koa serves it and OpenAPI describes it. */
export interface Route extends Description {
  readonly access: RouteAccess;
  readonly params: TSchema;
  readonly query: TSchema;
  /** undefined when the route takes no body. */
  readonly body: TSchema | undefined;
  /** Checks the input, throwing `validation_error`, and returns what is left to do. */
  prepare(input: { params: unknown; query: unknown; body: unknown }): (call: Omit<Call, "params" | "query" | "body">) => Promise<Answer>;
}

const Nothing = Type.Object({}, { additionalProperties: false });

export function defineRoute<
  A extends RouteAccess,
  P extends TSchema = typeof Nothing,
  Q extends TSchema = typeof Nothing,
  B extends TSchema = typeof Nothing,
>(definition: Definition<A, P, Q, B>): Route {
  const params = definition.params ?? Nothing;
  const query = definition.query ?? Nothing;
  const parseParams = parserFor(params);
  const parseQuery = textParserFor(query);
  const parseBody = parserFor(definition.body ?? Nothing);
  return {
    ...definition,
    params,
    query,
    body: definition.body,
    prepare(input) {
      const parsed = {
        params: parseParams(input.params) as Static<P>,
        query: parseQuery(input.query) as Static<Q>,
        body: parseBody(definition.body === undefined && input.body === undefined ? {} : input.body) as Static<B>,
      };
      // The dispatcher has authenticated for `definition.access`, which is what PrincipalFor stands for.
      return (call) => definition.handler({ ...call, ...parsed, principal: call.principal as PrincipalFor<A> });
    },
  };
}

/** Whether a repetition with the same idempotency key gets the first answer. */
export function takesIdempotencyKey(route: Route): boolean {
  return route.method !== "GET" && route.idempotent !== false;
}
