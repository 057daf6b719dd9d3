import assert from "node:assert/strict";
import type { Entity } from "../support/home-assistant-entity.ts";
import { type HomeAssistant, startHomeAssistant } from "../support/home-assistant.ts";
import type { ApiClient } from "../support/hub.ts";
import { until } from "../support/wait.ts";

/** What the hub says to paste into Home Assistant. */
export interface Account {
  readonly username: string;
  readonly password: string;
}

export async function makeAccount(api: ApiClient, body: object = {}): Promise<Account> {
  const { status, body: account } = await api.call<Account>("POST", "/api/v1/bridges/home_assistant/account", body);
  assert.equal(status, 201, JSON.stringify(account));
  return { username: account.username, password: account.password };
}

export const join = (url: string, { username, password }: Account, protocolVersion: 4 | 5 = 5): Promise<HomeAssistant> =>
  startHomeAssistant({ url, username, password, protocolVersion });

/** The entities of a device. */
export const entitiesOf = (home: HomeAssistant, uid: string): Entity[] =>
  [...home.entities.values()].filter(({ uniqueId }) => uniqueId.startsWith(`hexa_${uid}_`));

/** The first entity of a platform, when it is there. */
export const entityOf = (home: HomeAssistant, uid: string, platform: string): Promise<Entity> =>
  until(() => entitiesOf(home, uid).find((entity) => entity.platform === platform), { what: `a ${platform} of ${uid}` });

export const deviceOf = (home: HomeAssistant, uid: string): Readonly<Record<string, unknown>> | undefined =>
  home.devices.get(`hexa_${uid}`);

export async function must(api: ApiClient, method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<void> {
  const answer = await api.call(method, path, body, headers);
  assert.ok(answer.status < 300, `${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
}
