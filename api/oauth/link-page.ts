import type { Context } from "koa";
import { errors, type Interaction, type Provider } from "oidc-provider";
import { HubError } from "../../core/errors.ts";
import { newAudit } from "../../core/event.ts";
import { type OauthScope, parseScopes } from "../../core/oauth.ts";
import { insertAudit } from "../../store/audit.ts";
import { findOauthClient, type OauthClient } from "../../store/oauth-clients.ts";
import { linkableOrganizations, openLink } from "../../store/oauth-links.ts";
import { inTransaction } from "../../store/transaction.ts";
import { findUser, passwordCredentialId, type User } from "../../store/users.ts";
import { readIncoming } from "../body.ts";
import type { ApiContext } from "../context.ts";
import type { RequestState } from "../dispatch.ts";
import { provePassword } from "../people/prove-password.ts";
import { addressKey } from "../rate-limits.ts";
import type { Caller } from "../route.ts";
import { consentPage, loginPage, onwardPage } from "./pages.ts";
import { linkPath } from "./paths.ts";

export interface Visit {
  readonly context: ApiContext;
  readonly provider: Provider;
  readonly ctx: Context & { readonly state: RequestState };
  readonly caller: Caller;
}

/** A log-in under way, and the program that asked for it. */
interface Asked extends Visit {
  readonly interaction: Interaction;
  readonly client: OauthClient;
  readonly scopes: readonly OauthScope[];
}

/** Who has logged in on the first of the two pages. */
interface Person {
  readonly userId: string;
  readonly passwordId: string;
}

const MAX_FORM_BYTES = 8_192;

/** Asks who it is, and then what they allow. Throws `not_found` for a log-in that is over or another browser's. */
export async function showLinkPage(visit: Visit): Promise<void> {
  const asked = await findAsked(visit);
  // offline_access alone, which is given anyway.
  if (asked.scopes.length === 0) return await goOn(asked, { error: "invalid_scope", error_description: "there is nothing to allow" });
  const person = personOf(asked.interaction);
  visit.ctx.type = "html";
  visit.ctx.body = person === undefined ? loginPage(namesOf(asked)) : await renderConsent(asked, person);
}

/** Throws as {@link showLinkPage} does, and `forbidden` for the form of another site. */
export async function takeLinkForm(visit: Visit): Promise<void> {
  requireOwnForm(visit.ctx);
  const form = await readForm(visit.ctx);
  const asked = await findAsked(visit);
  switch (form.get("step")) {
    case "login":
      return await logIn(asked, { email: form.get("email") ?? "", password: form.get("password") ?? "" });
    case "allow":
      return await allow(asked, form.get("organization") ?? "");
    case "cancel":
      return await goOn(asked, { error: "access_denied", error_description: "the person did not allow it" });
    default:
      throw new HubError("validation_error", "the form is not complete");
  }
}

async function findAsked(visit: Visit): Promise<Asked> {
  const { context, provider, ctx } = visit;
  const interaction = await provider.interactionDetails(ctx.req, ctx.res).catch((error: unknown) => {
    throw error instanceof errors.SessionNotFound ? over(error) : error;
  });
  if (interaction.uid !== ctx["params"].uid) throw over();
  const { client_id: id, scope } = interaction.params;
  const client = typeof id === "string" ? await findOauthClient(context.store.db, id, context.clock()) : undefined;
  if (!client) throw over();
  return { ...visit, interaction, client, scopes: parseScopes(String(scope)).filter((one) => client.scopes.includes(one)) };
}

const over = (cause?: unknown): HubError => new HubError("not_found", "this log-in is over, or was begun in another browser", { cause });

const namesOf = ({ client, interaction }: Pick<Asked, "client" | "interaction">) => ({
  client: client.name,
  action: linkPath(interaction.uid),
});

function personOf({ result }: Interaction): Person | undefined {
  return result?.["person"] as Person | undefined;
}

async function logIn(asked: Asked, { email, password }: { readonly email: string; readonly password: string }): Promise<void> {
  const { context, ctx, caller, interaction } = asked;
  const { requestId } = ctx.state;
  try {
    const isPossible = email !== "" && email.length <= 255 && password !== "" && password.length <= 1_024;
    if (!isPossible) throw new HubError("validation_error", "type your e-mail and your password");
    const { found, attempt } = await provePassword({ context, caller, requestId }, { email, password });
    await attempt.succeeded();
    interaction.result = { person: { userId: found.id, passwordId: passwordCredentialId(found) } satisfies Person };
    await interaction.save(leftOf(asked));
    await noteLogin(asked, found);
    ctx.redirect(linkPath(interaction.uid));
    ctx.status = 303;
  } catch (error) {
    if (!(error instanceof HubError) || error.status >= 500) throw error;
    if (error.code === "rate_limited") {
      context.security.note({
        action: "user.login_blocked",
        organizationId: null,
        source: addressKey(caller.address),
        requestId,
        details: { method: "POST", route: ctx.state.route },
      });
      ctx.set("retry-after", String((error.details as { retry_after_s: number }).retry_after_s));
    }
    ctx.status = error.status;
    ctx.type = "html";
    ctx.body = loginPage(namesOf(asked), { email: email.slice(0, 255), problem: error.message });
  }
}

async function noteLogin({ context, client, caller, ctx }: Asked, user: User): Promise<void> {
  const about = { organizationId: user.organizationId, resourceType: "user", resourceId: user.id };
  const details = { address: caller.address, client_id: client.id };
  const actor = { kind: "user", id: user.id } as const;
  const { requestId } = ctx.state;
  await insertAudit(context.store.db, [newAudit({ ...about, actor, requestId, now: context.clock(), action: "user.login", details })]);
}

async function renderConsent(asked: Asked, person: Person, problem?: string): Promise<string> {
  const { context, client, scopes, interaction } = asked;
  const user = await findUser(context.store.db, person.userId);
  const organizations = await linkableOrganizations(context.store.db, person.userId, client);
  if (!user) throw over();
  if (organizations.length === 0) throw new HubError("forbidden", "your account is not in the organisation that this program is for");
  const host = new URL(String(interaction.params["redirect_uri"])).host;
  return consentPage({ ...namesOf(asked), email: user.email, host, scopes, organizations, problem });
}

async function allow(asked: Asked, organizationId: string): Promise<void> {
  const { context, client, scopes, caller, interaction, ctx } = asked;
  const person = personOf(interaction);
  if (person === undefined) throw over();
  // Sent twice: the link is there already.
  if (interaction.result?.["consent"] !== undefined) return sendOn(asked);
  const organizations = await linkableOrganizations(context.store.db, person.userId, client);
  if (!organizations.some(({ id }) => id === organizationId)) {
    ctx.status = 400;
    ctx.type = "html";
    ctx.body = await renderConsent(asked, person, "choose the organisation");
    return;
  }
  const wanted = { ...person, organizationId, clientId: client.id, scopes, ...caller };
  const { id, ended } = await inTransaction(context.store.db, async (trx) => {
    const opened = await openLink(trx, wanted, context.clock());
    const note = { organizationId, actor: { kind: "user", id: person.userId } as const, resourceType: "login", resourceId: opened.id };
    const details = { client_id: client.id, client: client.name, scopes, address: caller.address };
    const { requestId } = ctx.state;
    await insertAudit(trx, [newAudit({ ...note, requestId, now: context.clock(), action: "user.link", details })]);
    return opened;
  });
  if (ended.length > 0) await context.sessions.disconnect({ credentialIds: ended }, "revoked");
  await goOn(asked, { ...interaction.result, login: { accountId: person.userId }, consent: { grantId: id } });
}

async function goOn(asked: Asked, result: object): Promise<void> {
  const { provider, ctx } = asked;
  await provider.interactionResult(ctx.req, ctx.res, result, { mergeWithLastSubmission: false });
  sendOn(asked);
}

function sendOn({ ctx, interaction }: Asked): void {
  ctx.type = "html";
  ctx.body = onwardPage(new URL(interaction.returnTo).pathname);
}

const leftOf = ({ context, interaction }: Asked): number => Math.max(1, interaction.exp - Math.floor(context.clock() / 1_000));

/** The cookie comes with no form of another site; where the browser says whose form it is, that counts too. */
function requireOwnForm(ctx: Context): void {
  const site = ctx.get("sec-fetch-site");
  if (site !== "" && site !== "same-origin") throw new HubError("forbidden", "a page of another site may not send this form");
  if (!ctx.is("application/x-www-form-urlencoded")) throw new HubError("unsupported_media_type", "send the form as browsers do");
}

async function readForm(ctx: Context): Promise<URLSearchParams> {
  const { bytes } = await readIncoming(ctx.req, MAX_FORM_BYTES);
  return new URLSearchParams(bytes.toString("utf8"));
}
