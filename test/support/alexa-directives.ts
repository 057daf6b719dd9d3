import { randomUUID } from "node:crypto";
import type { ApiClient } from "./hub.ts";
import { type AlexaEndpoint, type AlexaMessage, assertAlexa } from "./alexa-rules.ts";

export interface Directed {
  readonly token?: string;
  readonly endpointId?: string;
  readonly payload?: object;
  readonly instance?: string;
  readonly messageId?: string;
  readonly payloadVersion?: string;
}

/** As Amazon sends it to a skill. `what`: "Alexa.PowerController.TurnOn". */
export function directive(what: string, directed: Directed = {}) {
  const { token = "none", endpointId, payload = {}, instance, messageId = randomUUID(), payloadVersion = "3" } = directed;
  const at = what.lastIndexOf(".");
  const scope = { type: "BearerToken", token };
  const header = {
    namespace: what.slice(0, at),
    name: what.slice(at + 1),
    messageId,
    payloadVersion,
    ...(endpointId === undefined ? {} : { correlationToken: `${messageId}==` }),
    ...(instance === undefined ? {} : { instance }),
  };
  const isDiscovery = header.namespace === "Alexa.Discovery";
  return {
    directive: {
      header,
      ...(endpointId === undefined ? {} : { endpoint: { scope, endpointId, cookie: {} } }),
      payload: { ...payload, ...(isDiscovery ? { scope } : {}) },
    },
  };
}

/** What the skill's Lambda does: passes it on, and gives the answer, which has to be one that Alexa takes. */
export async function direct(api: Pick<ApiClient, "base">, message: ReturnType<typeof directive>): Promise<AlexaMessage> {
  const response = await fetch(new URL("/api/v1/alexa", api.base), {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(message),
  });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`the hub answered ${response.status}: ${text}`);
  const answer = assertAlexa(JSON.parse(text));
  const { header } = message.directive;
  if (answer.event.header.correlationToken !== header.correlationToken) throw new Error("another correlationToken came back");
  return answer;
}

export const endpointsIn = ({ event }: AlexaMessage): readonly AlexaEndpoint[] => event.payload["endpoints"] as AlexaEndpoint[];

export const errorIn = ({ event }: AlexaMessage): string =>
  event.header.name === "ErrorResponse" ? String(event.payload["type"]) : `no error, ${event.header.name}`;

/** By `PowerController.powerState`, and with the instance behind it where there is one. */
export const stateIn = ({ context }: AlexaMessage): Record<string, unknown> =>
  Object.fromEntries(
    (context?.properties ?? []).map(({ namespace, name, instance, value }) => [
      `${namespace.slice("Alexa.".length)}.${name}${instance === undefined ? "" : `.${instance}`}`,
      value,
    ]),
  );

export const grantOf = (code: string, token: string) =>
  directive("Alexa.Authorization.AcceptGrant", {
    payload: { grant: { type: "OAuth2.AuthorizationCode", code }, grantee: { type: "BearerToken", token } },
  });
