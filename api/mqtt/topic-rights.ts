import Type, { type Static } from "typebox";
import { mayPublish, mayReceive } from "../../core/authorize.ts";
import { HubError } from "../../core/errors.ts";
import { may } from "../../core/permissions.ts";
import type { Member, Principal, UserPrincipal } from "../../core/principal.ts";
import { TOPICS, type Topic } from "../../core/topics.ts";
import { type AccessToken, listAccessTokens } from "../../store/access-tokens.ts";
import { listMembers } from "../../store/members.ts";
import type { Page } from "../../store/sql.ts";
import { listUsers, userPrincipal } from "../../store/users.ts";
import type { ApiContext } from "../context.ts";
import { nullable } from "../fields.ts";
import { defineRoute } from "../route.ts";

const PAGE = 200;
/** Of people, and of tokens: what more there are is not looked at. */
const MOST = 1_000;

const Holder = Type.Object(
  {
    kind: Type.Enum(["device", "user", "service", "personal"], { description: "`service` and `personal` are access tokens" }),
    id: Type.String(),
    name: Type.String({ description: "The device's uid, the person's name or e-mail address, the token's name" }),
    owner: nullable("string", { description: "The name of the person whose token it is" }),
    role: nullable("string", { description: "In the organisation, of a person" }),
    read: Type.Boolean(),
    write: Type.Boolean(),
  },
  { title: "TopicRight" },
);
type Holder = Static<typeof Holder>;

export const topicRights = defineRoute({
  method: "GET",
  path: "/api/v1/mqtt/topic-rights",
  tag: "Access",
  summary: "Who may read a topic of MQTT and publish on it",
  description: `In the organisation that the topic belongs to, or yours where it belongs to none, as the broker decides for each message: its device, active people, and the valid tokens that you may see (yours; with \`service.manage\` all). Whoever may do neither is not named. The hub publishes on its own topics beside them, and its administrators read and write what a member may, in whatever organisation. Of people and of tokens the first ${MOST} are looked at.`,
  access: "member.manage",
  query: Type.Object(
    { topic: Type.String({ minLength: 1, maxLength: 1024, description: "Without wildcards" }) },
    { additionalProperties: false },
  ),
  replies: {
    200: {
      description: "The device first, then people, then tokens; oldest first",
      schema: Type.Object(
        {
          topic: Type.String(),
          kind: Type.String({ description: "As in docs/topics.md" }),
          pattern: Type.String(),
          data: Type.Array(Holder),
          is_whole: Type.Boolean({ description: `false: there are more than ${MOST} people or tokens` }),
        },
        { title: "TopicRights" },
      ),
    },
  },
  errors: ["topic_unknown", "not_found"],
  async handler({ context, principal, rights, query: { topic: name } }) {
    const topic = context.topics.parse(name);
    if (!topic) throw new HubError("topic_unknown", "the hub knows no such topic");
    const organizationId = organizationOf(context, topic, principal);
    // A device or an organisation that is not there looks the same.
    if (organizationId === null || !may(rights, "member.manage", organizationId))
      throw new HubError("not_found", "there is no such topic in your organisation");
    const people = await peopleOf(context, organizationId);
    const tokens = await tokensOf(context, organizationId, may(rights, "service.manage", organizationId) ? undefined : principal.id);
    const holders = [...deviceOf(context, topic), ...people.items, ...tokensWith(tokens.items, people.items)];
    const data = holders.flatMap(({ shown, principal: who }) => {
      const [read, write] = [mayReceive(context, who, topic), mayPublish(context, who, topic)];
      return read || write ? [{ ...shown, read, write }] : [];
    });
    const { pattern } = TOPICS[topic.kind];
    return {
      status: 200,
      body: { topic: name, kind: topic.kind, pattern, data, is_whole: people.next === null && tokens.next === null },
    };
  },
});

interface Candidate<P extends Principal = Principal> {
  readonly shown: Omit<Holder, "read" | "write">;
  readonly principal: P;
}

/** null for a topic of a device that is in none, or is not there. */
function organizationOf({ directory }: Pick<ApiContext, "directory">, topic: Topic, { organizationId }: Member): string | null {
  if ("organizationId" in topic) return topic.organizationId;
  return "uid" in topic ? (directory.find(topic.uid)?.organizationId ?? null) : organizationId;
}

function deviceOf({ directory }: Pick<ApiContext, "directory">, topic: Topic): Candidate[] {
  const device = "uid" in topic ? directory.find(topic.uid) : undefined;
  if (!device) return [];
  const { id, uid } = device;
  return [{ shown: { kind: "device", id, name: uid, owner: null, role: null }, principal: { kind: "device", id, uid, credentialId: "" } }];
}

/** Those who can log in, as if they acted in this organisation. */
async function peopleOf({ store: { db } }: Pick<ApiContext, "store">, organizationId: string): Promise<Page<Candidate<UserPrincipal>>> {
  const roles = new Map(
    (await upToMost((page) => listMembers(db, organizationId, page))).items.map(({ userId, role }) => [userId, role] as const),
  );
  const users = await upToMost((page) => listUsers(db, { kind: "organization", organizationId }, page));
  const items = users.items
    .filter(({ isActive }) => isActive)
    .map((user) => ({
      shown: { kind: "user" as const, id: user.id, name: user.name ?? user.email, owner: null, role: roles.get(user.id) ?? null },
      principal: userPrincipal(user, ""),
    }));
  return { items, next: users.next };
}

/** Of this person alone, or all. */
function tokensOf({ store: { db }, clock }: ApiContext, organizationId: string, userId: string | undefined): Promise<Page<AccessToken>> {
  const now = clock();
  return upToMost(async (page) => {
    const { items, next } = await listAccessTokens(db, { kind: "organization", organizationId }, { ...page, userId });
    const isValid = ({ revokedAt, expiresAt }: AccessToken) => revokedAt === null && (expiresAt === null || Date.parse(expiresAt) > now);
    return { items: items.filter(isValid), next };
  });
}

/** A person's token does no more than the person, who is in the organisation. */
function tokensWith(tokens: readonly AccessToken[], people: readonly Candidate<UserPrincipal>[]): Candidate[] {
  const byId = new Map(people.map((person) => [person.principal.id, person]));
  return tokens.flatMap<Candidate>(({ id, kind, name, organizationId, userId, permissions, deviceIds }) => {
    const limited = permissions === undefined && deviceIds === undefined ? {} : { tokenScope: limitsOf({ permissions, deviceIds }) };
    const shown = { kind, id, name, role: null };
    if (kind === "service")
      return [{ shown: { ...shown, owner: null }, principal: { kind, id, name, organizationId, credentialId: id, ...limited } }];
    const person = byId.get(userId ?? "");
    return person ? [{ shown: { ...shown, owner: person.shown.name }, principal: { ...person.principal, ...limited } }] : [];
  });
}

const limitsOf = ({ permissions, deviceIds }: Pick<AccessToken, "permissions" | "deviceIds">) => ({
  ...(permissions === undefined ? {} : { permissions }),
  ...(deviceIds === undefined ? {} : { deviceIds }),
});

async function upToMost<T>(read: (page: { limit: number; after: string | undefined }) => Promise<Page<T>>): Promise<Page<T>> {
  const items: T[] = [];
  let next: string | null = null;
  do {
    const page: Page<T> = await read({ limit: PAGE, after: next ?? undefined });
    items.push(...page.items);
    ({ next } = page);
  } while (next !== null && items.length < MOST);
  return { items, next };
}
