import { alexaError, AlexaDirective, type AlexaErrorType, AlexaEvent, tokenOf } from "../../core/alexa.ts";
import { HubError } from "../../core/errors.ts";
import { isExpiredToken } from "../../store/access-tokens.ts";
import { authenticateMember } from "../authenticate.ts";
import { type Call, defineRoute } from "../route.ts";

/** Who is behind it stands in the directive: its token is a credential of the hub, as account linking gave it to Amazon. */
export const alexa = defineRoute({
  method: "POST",
  path: "/api/v1/alexa",
  tag: "Smart homes",
  summary: "A directive of Alexa (Smart Home Skill API 3)",
  description:
    "For the skill's Lambda (docs/alexa.md), which passes on what Alexa sends, and answers what it gets. Every directive is answered with 200 and an event of Alexa's, also one that fails: `Alexa.ErrorResponse` says why.",
  access: "none",
  idempotent: false,
  body: AlexaDirective,
  bodyExample: {
    directive: {
      header: {
        namespace: "Alexa.PowerController",
        name: "TurnOn",
        messageId: "1bd5d003-31b9-476f-ad03-71d471922820",
        payloadVersion: "3",
      },
      endpoint: { endpointId: "relay-k3m9x2q7:relay:0", scope: { type: "BearerToken", token: "hxp_…" } },
      payload: {},
    },
  },
  replies: { 200: { description: "The answer, or why there is none", schema: AlexaEvent } },
  async handler({ context, body: { directive }, requestId }) {
    const token = tokenOf(directive);
    const found = await askerOf(context, token);
    if ("refused" in found) return { status: 200, body: alexaError(directive, { type: found.refused, message: found.message }) };
    return { status: 200, body: await context.alexa.answer(directive, { ...found, requestId }) };
  },
});

type Needs = Call["context"];
type Refused = { readonly refused: AlexaErrorType; readonly message: string };

/** A person's credential: whatever else opens the API is not given to Amazon. */
async function askerOf(context: Needs, token: string | undefined) {
  if (token === undefined) return refused("INVALID_AUTHORIZATION_CREDENTIAL", "there is no token in the directive");
  const principal = await authenticateMember(context, { authorization: `Bearer ${token}` }).catch((error: unknown) => {
    if (error instanceof HubError && error.code === "unauthorized") return undefined;
    throw error;
  });
  if (principal?.kind !== "user") {
    const isExpired = await isExpiredToken(context.store.db, context.keys, token, context.clock());
    return isExpired
      ? refused("EXPIRED_AUTHORIZATION_CREDENTIAL", "the token has expired")
      : refused("INVALID_AUTHORIZATION_CREDENTIAL", "the token is wrong or revoked, or nobody's who is a person");
  }
  const { refusal } = await context.rateLimits.spend(`user:${principal.id}`);
  if (refusal) return refused("RATE_LIMIT_EXCEEDED", refusal.message);
  await context.access.know(principal.id);
  return { principal, rights: context.access.of(principal) };
}

const refused = (type: AlexaErrorType, message: string): Refused => ({ refused: type, message });
