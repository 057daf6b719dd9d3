import { randomBytes, randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type AlexaEndpoint, type AlexaMessage, type AlexaProperty, assertAlexa } from "./alexa-rules.ts";

/*
 * Login with Amazon's token endpoint and Alexa's event gateway, as they are documented: codes are good once, access tokens for
 * their time, and an event has the token in its header and in its scope.
 */

export interface GatewayFault {
  readonly status: number;
  readonly code: string;
  readonly retryAfter?: string;
}

export interface AlexaGateway extends AsyncDisposable {
  readonly tokenUrl: string;
  readonly eventsUrl: string;
  /** What a hub is told of it. */
  readonly env: Readonly<Record<string, string>>;
  /** Those that were taken, in the order in which they came. */
  readonly events: readonly AlexaMessage[];
  /** How often each was asked, whatever the answer. */
  readonly asked: { events: number; exchanges: number; refreshes: number };
  /** What was wrong with what a hub sent: nothing of it may be. */
  readonly complaints: readonly string[];
  /** What the customer's Alexa knows by now. */
  readonly endpoints: ReadonlyMap<string, AlexaEndpoint>;
  /** By endpoint and property. */
  readonly states: ReadonlyMap<string, unknown>;
  /** As a customer who links the skill: a code for AcceptGrant. */
  newCode(): string;
  /** The answers to the next events, before they are right again. */
  failNext(...faults: readonly GatewayFault[]): void;
  /** To all events, until it is set to undefined. */
  fault: GatewayFault | undefined;
  /** To all that ask for tokens, until it is set to undefined. */
  loginFault: GatewayFault | undefined;
  /** Takes what comes and answers nothing. */
  isSilent: boolean;
  /** No access token is good any more; refresh tokens are. */
  expireAccessTokens(): void;
  /** How long access tokens live, in seconds. */
  lifeS: number;
  /** A refresh token is good once; with one that was used before the grant is over (RFC 9700 4.14.2). */
  isRotating: boolean;
}

const CLIENT = { id: "amzn1.application-oa2-client.test", secret: "a-client-secret" };

export async function startAlexaGateway(port = 0): Promise<AlexaGateway> {
  const gateway = new Gateway();
  const server = createServer((request, response) => void gateway.serve(request, response));
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return Object.assign(gateway, {
    tokenUrl: `${url}/auth/o2/token`,
    eventsUrl: `${url}/v3/events`,
    env: {
      HEXA_ALEXA_CLIENT_ID: CLIENT.id,
      HEXA_ALEXA_CLIENT_SECRET: CLIENT.secret,
      HEXA_ALEXA_REGION: "eu",
      HEXA_ALEXA_TOKEN_URL: `${url}/auth/o2/token`,
      HEXA_ALEXA_GATEWAY_URL: `${url}/v3/events`,
      HEXA_OUTBOUND_ALLOW: "127.0.0.1/32",
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  });
}

class Gateway {
  readonly events: AlexaMessage[] = [];
  readonly asked = { events: 0, exchanges: 0, refreshes: 0 };
  readonly complaints: string[] = [];
  readonly endpoints = new Map<string, AlexaEndpoint>();
  readonly states = new Map<string, unknown>();
  fault: GatewayFault | undefined;
  loginFault: GatewayFault | undefined;
  isSilent = false;
  lifeS = 3_600;
  isRotating = false;
  readonly #codes = new Set<string>();
  readonly #refreshTokens = new Set<string>();
  readonly #usedTokens = new Set<string>();
  readonly #accessTokens = new Map<string, number>();
  readonly #next: GatewayFault[] = [];

  newCode(): string {
    const code = randomBytes(12).toString("hex");
    this.#codes.add(code);
    return code;
  }

  failNext(...faults: readonly GatewayFault[]): void {
    this.#next.push(...faults);
  }

  expireAccessTokens(): void {
    this.#accessTokens.clear();
  }

  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = "";
    for await (const part of request.setEncoding("utf8")) body += part as string;
    if (request.method === "POST" && request.url === "/auth/o2/token") return this.#giveTokens(request, response, body);
    if (request.method === "POST" && request.url === "/v3/events") return this.#takeEvent(request, response, body);
    response.writeHead(404).end();
  }

  #giveTokens(request: IncomingMessage, response: ServerResponse, body: string): void {
    const form = new URLSearchParams(body);
    const isExchange = form.get("grant_type") === "authorization_code";
    this.asked[isExchange ? "exchanges" : "refreshes"]++;
    const refuse = (status: number, error: string): unknown =>
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify({ error, error_description: error }));
    if (!request.headers["content-type"]?.startsWith("application/x-www-form-urlencoded")) return void refuse(400, "invalid_request");
    if (this.loginFault) return void refuse(this.loginFault.status, this.loginFault.code);
    if (form.get("client_id") !== CLIENT.id || form.get("client_secret") !== CLIENT.secret) return void refuse(401, "invalid_client");
    const code = form.get("code") ?? "";
    const refresh = form.get("refresh_token") ?? "";
    if (this.#usedTokens.has(refresh)) this.#refreshTokens.clear();
    if (isExchange ? !this.#codes.delete(code) : !this.#refreshTokens.has(refresh)) return void refuse(400, "invalid_grant");
    const access = `Atza|${randomBytes(16).toString("base64url")}`;
    this.#accessTokens.set(access, performance.now() + this.lifeS * 1_000);
    const isNew = isExchange || this.isRotating;
    if (isNew && this.#refreshTokens.delete(refresh)) this.#usedTokens.add(refresh);
    const kept = isNew ? `Atzr|${randomBytes(16).toString("base64url")}` : refresh;
    this.#refreshTokens.add(kept);
    const tokens = { access_token: access, refresh_token: kept, token_type: "bearer", expires_in: this.lifeS };
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(tokens));
  }

  #takeEvent(request: IncomingMessage, response: ServerResponse, body: string): void {
    this.asked.events++;
    if (this.isSilent) return;
    const fault = this.#next.shift() ?? this.fault;
    if (fault) return this.#refuse(response, fault);
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? "")?.[1] ?? "";
    if ((this.#accessTokens.get(token) ?? 0) <= performance.now())
      return this.#refuse(response, { status: 401, code: "INVALID_ACCESS_TOKEN_EXCEPTION" });
    try {
      const message = assertAlexa(JSON.parse(body));
      if (scopeOf(message) !== token) throw new Error("the scope has another token");
      this.events.push(message);
      this.#learn(message);
      response.writeHead(202).end();
    } catch (error) {
      this.complaints.push(String(error));
      this.#refuse(response, { status: 400, code: "INVALID_REQUEST_EXCEPTION" });
    }
  }

  #refuse(response: ServerResponse, { status, code, retryAfter }: GatewayFault): void {
    const headers = { "content-type": "application/json", ...(retryAfter === undefined ? {} : { "retry-after": retryAfter }) };
    const header = { namespace: "System", name: "Exception", messageId: randomUUID() };
    response.writeHead(status, headers).end(JSON.stringify({ header, payload: { code, description: code } }));
  }

  #learn({ event, context }: AlexaMessage): void {
    const { endpoints = [], change } = event.payload as { endpoints?: AlexaEndpoint[]; change?: { properties: AlexaProperty[] } };
    const { name } = event.header;
    for (const endpoint of endpoints) {
      if (name === "AddOrUpdateReport") this.endpoints.set(endpoint.endpointId, endpoint);
      if (name === "DeleteReport") this.endpoints.delete(endpoint.endpointId);
    }
    for (const { namespace, instance, value } of [...(change?.properties ?? []), ...(context?.properties ?? [])])
      this.states.set([event.endpoint?.endpointId, namespace, ...(instance === undefined ? [] : [instance])].join(" "), value);
  }
}

function scopeOf({ event }: AlexaMessage): string | undefined {
  const holder = (event.endpoint ?? event.payload) as { scope?: { type: string; token: string } };
  return holder.scope?.type === "BearerToken" ? holder.scope.token : undefined;
}
