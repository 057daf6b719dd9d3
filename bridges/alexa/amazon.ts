import type { AlexaEvent } from "../../core/alexa.ts";
import type { Config } from "../../core/config.ts";
import { ForbiddenDestination } from "../../core/destination.ts";
import type { AmazonTokens } from "../../store/alexa-grants.ts";
import { type Outbound, type OutboundAnswer, OutboundError } from "../outbound/outbound.ts";

/**
 * What Amazon does not take. `again`: later it may; `token`: the access token is not good; `ended`: nothing of the grant will be
 * taken any more; `refused`: this message is not.
 */
export class AmazonError extends Error {
  override readonly name = "AmazonError";
  readonly kind: "again" | "token" | "ended" | "refused";
  readonly code: string;
  /** What it asks for. */
  readonly retryAfterMs: number | undefined;

  constructor(kind: AmazonError["kind"], code: string, message: string, options: ErrorOptions & { readonly retryAfterMs?: number } = {}) {
    super(message, options);
    this.kind = kind;
    this.code = code;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** Login with Amazon, and the event gateway of the region. */
export interface Amazon {
  /** Throws {@link AmazonError}. */
  exchange(code: string, signal: AbortSignal): Promise<AmazonTokens>;
  /** Throws {@link AmazonError}. */
  refresh(refreshToken: string, signal: AbortSignal): Promise<AmazonTokens>;
  /** Resolves when the gateway has taken it. Throws {@link AmazonError}. */
  send(event: AlexaEvent, accessToken: string, signal: AbortSignal): Promise<void>;
}

const GATEWAYS = { na: "https://api.amazonalexa.com", eu: "https://api.eu.amazonalexa.com", fe: "https://api.fe.amazonalexa.com" } as const;
const TOKEN_URL = "https://api.amazon.com/auth/o2/token";
/** What it says it lives for where it says nothing. */
const USUAL_LIFE_S = 3_600;
const MAX_RETRY_AFTER_MS = 3_600_000;

interface Context {
  readonly config: Config;
  readonly outbound: Outbound;
  readonly clock: () => number;
}

/** undefined where the hub has no client id and secret of the skill. */
export function createAmazon({ config, outbound, clock }: Context): Amazon | undefined {
  const { alexaClientId: clientId, alexaClientSecret: clientSecret, alexaRegion, alexaTokenUrl, alexaGatewayUrl } = config;
  if (clientId === undefined || clientSecret === undefined) return undefined;
  const eventsUrl = alexaGatewayUrl ?? `${GATEWAYS[alexaRegion]}/v3/events`;

  const post = async (url: string, contentType: string, more: Pick<Parameters<Outbound["request"]>[1], "body" | "headers" | "signal">) => {
    const headers = { "content-type": contentType, ...more.headers };
    return await outbound.request(url, { method: "POST", ...more, headers }).catch((error: unknown) => {
      throw unreachable(error);
    });
  };

  async function tokens(form: Readonly<Record<string, string>>, signal: AbortSignal): Promise<AmazonTokens> {
    const body = new URLSearchParams({ ...form, client_id: clientId as string, client_secret: clientSecret as string }).toString();
    const answer = await post(alexaTokenUrl ?? TOKEN_URL, "application/x-www-form-urlencoded;charset=UTF-8", { body, signal });
    const json = jsonOf(answer);
    if (answer.status !== 200) throw loginError(answer, json, clock());
    const { access_token: access, refresh_token: refresh = form["refresh_token"], expires_in: life = USUAL_LIFE_S } = json;
    if (typeof access !== "string" || typeof refresh !== "string" || typeof life !== "number")
      throw new AmazonError("again", "bad_answer", "Login with Amazon answered without tokens");
    return { access, refresh, expiresAt: clock() + life * 1_000 };
  }

  return {
    exchange: (code, signal) => tokens({ grant_type: "authorization_code", code }, signal),
    refresh: (refreshToken, signal) => tokens({ grant_type: "refresh_token", refresh_token: refreshToken }, signal),
    async send(event, accessToken, signal) {
      const headers = { authorization: `Bearer ${accessToken}` };
      const answer = await post(eventsUrl, "application/json", { body: JSON.stringify(event), headers, signal });
      if (answer.status < 200 || answer.status >= 300) throw gatewayError(answer, jsonOf(answer), clock());
    },
  };
}

type Json = Readonly<Record<string, unknown>>;

function jsonOf({ body }: OutboundAnswer): Json {
  try {
    const json: unknown = JSON.parse(body.toString());
    return typeof json === "object" && json !== null ? (json as Json) : {};
  } catch {
    return {};
  }
}

function unreachable(error: unknown): unknown {
  if (error instanceof OutboundError)
    return new AmazonError("again", error.reason, `Amazon cannot be reached: ${error.message}`, { cause: error });
  if (error instanceof ForbiddenDestination)
    return new AmazonError("again", "forbidden_destination", `Amazon's address ${error.message}`, { cause: error });
  return error;
}

function loginError(answer: OutboundAnswer, { error }: Json, now: number): AmazonError {
  const code = typeof error === "string" ? error.slice(0, 64) : String(answer.status);
  if (isPassing(answer)) return again(answer, code, now);
  if (code === "invalid_grant")
    return new AmazonError("ended", code, "Amazon has ended the permission: disable the skill in the Alexa app and link it again");
  return new AmazonError("ended", CLIENT_REFUSED, `Amazon refuses the hub's client id or secret (${code}): look at HEXA_ALEXA_CLIENT_ID`);
}

/** What another start of the hub may have mended. */
export const CLIENT_REFUSED = "client_refused";

function gatewayError(answer: OutboundAnswer, { payload }: Json, now: number): AmazonError {
  const { code: said } = (typeof payload === "object" && payload !== null ? payload : {}) as Json;
  const code = typeof said === "string" ? said.slice(0, 64) : String(answer.status);
  const { status } = answer;
  if (isPassing(answer)) return again(answer, code, now);
  if (status === 401) return new AmazonError("token", code, "Amazon does not take the hub's access token: link the skill again");
  if (status === 403 || status === 404)
    return new AmazonError("ended", code, `Amazon takes nothing more (${code}): enable the skill in the Alexa app again, and link it`);
  return new AmazonError("refused", code, `Amazon refused a message (${code})`);
}

const isPassing = ({ status }: OutboundAnswer): boolean => status === 429 || status >= 500;

function again({ status, headers }: OutboundAnswer, code: string, now: number): AmazonError {
  const retryAfterMs = retryAfterOf(headers["retry-after"], now);
  const message = status === 429 ? "Amazon asks for less at a time" : `Amazon is in trouble (${status})`;
  return new AmazonError("again", code, message, retryAfterMs === undefined ? {} : { retryAfterMs });
}

/** Seconds, or a date (RFC 9110 10.2.3). */
function retryAfterOf(text: string | undefined, now: number): number | undefined {
  if (text === undefined) return undefined;
  const ms = /^\d{1,9}$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - now;
  return Number.isNaN(ms) ? undefined : Math.min(MAX_RETRY_AFTER_MS, Math.max(0, ms));
}
