import Type from "typebox";
import { HubError } from "../../core/errors.ts";
import { lockFirstStart } from "../../store/first-start.ts";
import { openLogin } from "../../store/logins.ts";
import { HOME, homeOrganization, renameOrganization } from "../../store/organizations.ts";
import { countUsers, createUser } from "../../store/users.ts";
import { isSameSecret } from "../constant-time.ts";
import { Email, line, Password } from "../fields.ts";
import { Session, sessionJson } from "../people/representation.ts";
import { type Answer, type Call, defineRoute } from "../route.ts";

const SetupRequest = Type.Object(
  {
    token: Type.String({ minLength: 1, maxLength: 256, description: "From the hub's first start, printed there" }),
    email: Email,
    password: Password,
    name: Type.Optional(line(120)),
    organization: Type.Optional(line(120, `What the hub's first organisation shall be called; ${HOME} when absent`)),
  },
  { additionalProperties: false, title: "SetupRequest" },
);
interface First {
  readonly email: string;
  readonly password: string;
  readonly name?: string;
  readonly organization?: string;
}

export const state = defineRoute({
  method: "GET",
  path: "/api/v1/setup",
  tag: "Access",
  summary: "Whether the hub waits for its first administrator",
  access: "none",
  replies: {
    200: { description: "`needed` until somebody has set it up", schema: Type.Object({ needed: Type.Boolean() }, { title: "SetupState" }) },
  },
  handler: async ({ context }) => ({ status: 200, body: { needed: context.setup.token !== undefined } }),
});

export const setup = defineRoute({
  method: "POST",
  path: "/api/v1/setup",
  tag: "Access",
  summary: "Make the first administrator",
  description: "Works once, with the token that the hub printed at its first start.",
  access: "none",
  body: SetupRequest,
  replies: {
    201: { description: "The administrator, logged in", schema: Session },
  },
  errors: ["already_set_up", "unauthorized"],
  async handler(call) {
    const lock = call.context.setup;
    const { token, ...first } = call.body;
    if (lock.token === undefined) throw new HubError("already_set_up", "the hub has its administrator already");
    if (!isSameSecret(token, lock.token)) throw new HubError("unauthorized", "the set-up token is wrong");
    const taken = lock.token;
    // Of two calls at once only one finds the token.
    lock.token = undefined;
    try {
      return await makeFirst(call, first);
    } catch (error) {
      if (!(error instanceof HubError && error.code === "already_set_up")) lock.token = taken;
      throw error;
    }
  },
});

async function makeFirst({ context, commit, caller }: Pick<Call, "context" | "commit" | "caller">, first: First): Promise<Answer> {
  const passwordHash = await context.passwords.hash(first.password);
  return commit(async (db) => {
    await lockFirstStart(db);
    if ((await countUsers(db)) > 0) throw new HubError("already_set_up", "the hub has its administrator already");
    const organization = await homeOrganization(db);
    if (first.organization !== undefined) await renameOrganization(db, organization.id, first.organization);
    const user = await createUser(db, {
      email: first.email,
      passwordHash,
      role: "admin",
      organizationId: organization.id,
      memberRole: "owner",
      ...(first.name === undefined ? {} : { name: first.name }),
    });
    const { clock, keys, settings } = context;
    const login = await openLogin(db, keys, { userId: user.id, ttlMs: settings.loginTtlMs, ...caller }, clock());
    return {
      answer: { status: 201, body: sessionJson(context, user, login) },
      audit: [
        {
          organizationId: organization.id,
          action: "hub.set_up",
          resourceType: "user",
          resourceId: user.id,
          details: { email: user.email },
        },
      ],
    };
  });
}
