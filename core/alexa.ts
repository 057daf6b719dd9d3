import Type, { type Static } from "typebox";
import { newId } from "./id.ts";
import type { Access } from "./permissions.ts";
import type { UserPrincipal } from "./principal.ts";

/*
 * Messages of the Smart Home Skill API, version 3, with the names that it gives them
 * (developer.amazon.com/docs/alexa/device-apis/message-guide.html).
 */

const text = (maxLength: number) => Type.String({ maxLength });
const Members = Type.Record(Type.String({ maxLength: 128 }), Type.Unknown(), { maxProperties: 100 });

/** What Alexa wants. What else it sends is left alone. */
export const AlexaDirective = Type.Object(
  {
    directive: Type.Object({
      header: Type.Object({
        namespace: text(128),
        name: text(128),
        messageId: Type.String({ minLength: 1, maxLength: 127 }),
        payloadVersion: text(16),
        correlationToken: Type.Optional(text(16_384)),
        instance: Type.Optional(text(256)),
      }),
      endpoint: Type.Optional(
        Type.Object({ endpointId: text(256), scope: Type.Optional(Members), cookie: Type.Optional(Members) }, { title: "AlexaEndpoint" }),
      ),
      payload: Type.Optional(Members),
    }),
  },
  { title: "AlexaDirective" },
);
export type AlexaDirective = Static<typeof AlexaDirective>["directive"];

/** An answer, or something that Alexa is told unasked. */
export const AlexaEvent = Type.Object(
  {
    event: Type.Object({
      header: Type.Object({
        namespace: Type.String(),
        name: Type.String(),
        messageId: Type.String(),
        payloadVersion: Type.Literal("3"),
        correlationToken: Type.Optional(Type.String()),
      }),
      endpoint: Type.Optional(
        Type.Object({
          endpointId: Type.String(),
          scope: Type.Optional(Type.Object({ type: Type.Literal("BearerToken"), token: Type.String() })),
        }),
      ),
      payload: Type.Record(Type.String(), Type.Unknown()),
    }),
    context: Type.Optional(Type.Object({ properties: Type.Array(Type.Record(Type.String(), Type.Unknown())) })),
  },
  { title: "AlexaEvent" },
);
export type AlexaEvent = Static<typeof AlexaEvent>;

/** Of `Alexa.ErrorResponse`, and of `Alexa.Authorization`'s. */
export type AlexaErrorType =
  | "ACCEPT_GRANT_FAILED"
  | "BRIDGE_UNREACHABLE"
  | "ENDPOINT_UNREACHABLE"
  | "EXPIRED_AUTHORIZATION_CREDENTIAL"
  | "HARDWARE_MALFUNCTION"
  | "INSUFFICIENT_PERMISSIONS"
  | "INTERNAL_ERROR"
  | "INVALID_AUTHORIZATION_CREDENTIAL"
  | "INVALID_DIRECTIVE"
  | "INVALID_VALUE"
  | "NO_SUCH_ENDPOINT"
  | "RATE_LIMIT_EXCEEDED"
  | "VALUE_OUT_OF_RANGE";

/** An answer of Alexa's own that is an error. The message is for the log of whoever has the skill: nobody hears it. */
export class AlexaError extends Error {
  override readonly name = "AlexaError";
  readonly type: AlexaErrorType;

  constructor(type: AlexaErrorType, message: string, options?: ErrorOptions) {
    super(message, options);
    this.type = type;
  }
}

/** Who is behind the token of a directive. */
export interface AlexaAsker {
  readonly principal: UserPrincipal;
  readonly rights: Access;
  readonly requestId: string;
}

/** What is behind `POST /api/v1/alexa`. */
export interface AlexaDoor {
  /** Answers within 5 s, whatever becomes of it; never rejects. */
  answer(directive: AlexaDirective, asker: AlexaAsker): Promise<AlexaEvent>;
}

/** Where the directive's kind has it; undefined where there is none. */
export function tokenOf({ header, endpoint, payload }: AlexaDirective): string | undefined {
  const holder =
    header.namespace === "Alexa.Discovery"
      ? payload?.["scope"]
      : header.namespace === "Alexa.Authorization"
        ? payload?.["grantee"]
        : endpoint?.scope;
  const token = typeof holder === "object" && holder !== null && "token" in holder ? holder.token : undefined;
  return typeof token === "string" && token !== "" ? token : undefined;
}

export interface AlexaMessage {
  readonly namespace?: string;
  readonly name: string;
  readonly payload?: Readonly<Record<string, unknown>>;
  readonly endpointId?: string;
  /** Of whoever is told unasked. */
  readonly token?: string;
  readonly properties?: readonly Readonly<Record<string, unknown>>[];
}

/** In answer to a directive, or unasked. */
export function alexaEvent(message: AlexaMessage, directive?: AlexaDirective): AlexaEvent {
  const { namespace = "Alexa", name, payload = {}, endpointId, token, properties } = message;
  const correlationToken = directive?.header.correlationToken;
  const scope = token === undefined ? {} : { scope: { type: "BearerToken" as const, token } };
  return {
    event: {
      header: {
        namespace,
        name,
        messageId: newId(),
        payloadVersion: "3",
        ...(correlationToken === undefined ? {} : { correlationToken }),
      },
      ...(endpointId === undefined ? {} : { endpoint: { ...scope, endpointId } }),
      payload,
    },
    ...(properties === undefined ? {} : { context: { properties: [...properties] } }),
  };
}

const ENDPOINT_ID = /^[a-zA-Z0-9_\-=#;:?@&]{1,256}$/;

export function alexaError(directive: AlexaDirective, { type, message }: Pick<AlexaError, "type" | "message">): AlexaEvent {
  const { namespace } = directive.header;
  if (namespace === "Alexa.Authorization") {
    const payload = { type: "ACCEPT_GRANT_FAILED", message };
    return alexaEvent({ namespace, name: "ErrorResponse", payload }, directive);
  }
  const endpointId = directive.endpoint?.endpointId;
  const about = endpointId !== undefined && ENDPOINT_ID.test(endpointId) ? { endpointId } : {};
  return alexaEvent({ name: "ErrorResponse", payload: { type, message }, ...about }, directive);
}
