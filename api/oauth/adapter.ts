import { type Adapter, errors } from "oidc-provider";
import { newAudit } from "../../core/event.ts";
import { SYSTEM } from "../../core/principal.ts";
import { insertAudit } from "../../store/audit.ts";
import { endLogin } from "../../store/logins.ts";
import { findOauthClient } from "../../store/oauth-clients.ts";
import { findLink, renewLink } from "../../store/oauth-links.ts";
import { consumeRecord, findRecord, removeRecord, removeRecordsOf, saveRecord } from "../../store/oauth-records.ts";
import { inTransaction } from "../../store/transaction.ts";
import type { ApiContext } from "../context.ts";

type Needs = Pick<ApiContext, "store" | "keys" | "clock" | "sessions">;

/** Where oidc-provider keeps what it calls `kind`. */
export function adapterFor(context: Needs, kind: string): Adapter {
  if (kind === "Client") return { ...NOTHING, find: (id) => readClient(context, id) };
  // Whose account it is stands in the link. What it can do is over with the log-in, so nobody stays logged in here.
  if (kind === "Session") return NOTHING;
  if (kind === "Grant") return { ...NOTHING, find: (id) => readGrant(context, id), destroy: (id) => endLink(context, id) };
  return recordsOf(context, kind);
}

const NOTHING: Adapter = {
  upsert: async () => {},
  find: async () => undefined,
  findByUid: async () => undefined,
  findByUserCode: async () => undefined,
  consume: async () => {},
  destroy: async () => {},
  revokeByGrantId: async () => {},
};

/** Codes, tokens and log-ins under way. */
function recordsOf(context: Needs, kind: string): Adapter {
  const { store, keys, clock } = context;
  const { db } = store;
  return {
    ...NOTHING,
    async upsert(id, given, expiresInS) {
      const payload = { ...given, jti: undefined };
      const loginId = kind === "Interaction" ? null : (given.grantId ?? null);
      await inTransaction(db, async (trx) => {
        // Checked last of all: a link that has ended meanwhile gets no token more.
        if (kind === "AccessToken" && (loginId === null || !(await renewLink(trx, loginId, clock()))))
          throw new errors.InvalidGrant("the link has ended");
        await saveRecord(trx, keys, { kind, id, loginId, payload, ttlMs: expiresInS * 1_000 }, clock());
      });
    },
    async find(id) {
      const record = await findRecord(db, keys, { kind, id }, clock());
      return record && { ...record.payload, jti: id, ...(record.isConsumed ? { consumed: true } : {}) };
    },
    async consume(id) {
      const loginId = (await findRecord(db, keys, { kind, id }, clock()))?.loginId;
      if (await consumeRecord(db, keys, { kind, id }, clock())) return;
      // Two came with it at once: one of them is not who it was for.
      if (loginId) await endLink(context, loginId);
      throw new errors.InvalidGrant("used at the same time");
    },
    destroy: (id) => removeRecord(db, keys, { kind, id }),
    revokeByGrantId: (grantId) => removeRecordsOf(db, grantId, kind),
  };
}

/** By the names of RFC 7591. */
async function readClient({ store, clock }: Needs, id: string) {
  const client = await findOauthClient(store.db, id, clock());
  if (!client) return undefined;
  return {
    client_id: client.id,
    client_name: client.name,
    // Never compared: what is shown is looked up by its hash.
    client_secret: client.id,
    redirect_uris: client.redirectUris,
    scope: client.scopes.join(" "),
    grant_types: ["authorization_code", "refresh_token"],
    response_types: ["code"],
    token_endpoint_auth_method: "client_secret_basic",
  };
}

async function readGrant({ store, clock }: Needs, id: string) {
  const found = await findLink(store.db, id, clock());
  if (!found) return undefined;
  const { user, link } = found;
  return {
    jti: id,
    kind: "Grant",
    accountId: user.id,
    clientId: link.clientId,
    openid: { scope: link.scopes },
    iat: secondsOf(link.createdAt),
    exp: secondsOf(link.expiresAt),
  };
}

const secondsOf = (iso: string): number => Math.floor(Date.parse(iso) / 1_000);

/** By the program itself, or since a code was used twice. */
async function endLink({ store, clock, sessions }: Needs, id: string): Promise<void> {
  const now = clock();
  await inTransaction(store.db, async (trx) => {
    const found = await findLink(trx, id, now);
    if (!found || !(await endLogin(trx, id, now))) return;
    const { organizationId, clientId } = found.link;
    const about = { organizationId, resourceType: "login", resourceId: id, actor: SYSTEM };
    await insertAudit(trx, [newAudit({ ...about, now, action: "user.unlink", details: { client_id: clientId, user_id: found.user.id } })]);
  });
  await sessions.disconnect({ credentialIds: [id] }, "revoked");
}
