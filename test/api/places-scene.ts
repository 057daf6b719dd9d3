import assert from "node:assert/strict";
import { newId } from "../../core/id.ts";
import type { TestDatabase } from "../support/databases.ts";
import { type Answered, field, startTestApi, type TestApi } from "./test-api.ts";

type Person = Awaited<ReturnType<TestApi["member"]>>;
export type Json = Record<string, unknown>;
export const SITE = { name: "Villa", time_zone: "Europe/Zurich" };

export interface Scene {
  readonly hub: TestApi;
  readonly owner: Person;
  readonly ask: (
    who: { token: string },
    method: string,
    path: string,
    body?: object,
    headers?: Record<string, string>,
  ) => Promise<Answered>;
  /** By the owner; the object that is in the answer. */
  readonly make: (
    what: "sites" | "rooms" | "projects" | "relationships" | "devices",
    body: object,
    who?: Person,
  ) => Promise<Json & { id: string }>;
  /** Somebody in the owner's organisation with this role. */
  readonly join: (role: string | null) => Promise<{ token: string; userId: string; email: string }>;
}

/** An organisation with its owner, to make places in. */
export async function inScene(open: () => Promise<TestDatabase>, work: (scene: Scene) => Promise<void>): Promise<void> {
  await using database = await open();
  await using hub = await startTestApi({}, database.url);
  const owner = await hub.member();
  const ask: Scene["ask"] = ({ token }, method, path, body, headers = {}) =>
    hub.ask(method, `/api/v1/${path}`, { token, headers, ...(body === undefined ? {} : { body }) });
  await work({
    hub,
    owner,
    ask,
    async make(what, body, who = owner) {
      const answer = await ask(who, "POST", what, what === "devices" ? { device_class: "relay_controller", ...body } : body);
      assert.equal(answer.status, 201, answer.text);
      return answer.json[what.slice(0, -1)] as Json & { id: string };
    },
    async join(role) {
      const email = `${newId()}@example.org`;
      const invited = await ask(owner, "POST", `organizations/${owner.organizationId}/invitations`, { email, role });
      const made = await hub.ask("POST", "/api/v1/invitations/register", {
        body: { token: field(invited, "token"), password: "correct horse battery" },
      });
      return { token: field(made, "access_token"), userId: (made.json["user"] as { id: string }).id, email };
    },
  });
}

export const ids = (answer: Answered): unknown[] => (answer.json["data"] as Json[]).map(({ id }) => id);
