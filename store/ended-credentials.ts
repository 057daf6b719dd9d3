import type { Member } from "../core/principal.ts";
import type { Db } from "./open.ts";
import { isoOf, rowSource, rowsOf, toJson } from "./sql.ts";

/** Those who would not be let in any more as who they are: their login or token has ended or acts elsewhere, or they are somebody else by now. */
export async function endedAmong<M extends Member>(db: Db, members: readonly M[], now: number): Promise<ReadonlySet<M>> {
  const asked = members
    .map((member, place) => ({
      place,
      kind: member.kind,
      credential_id: member.credentialId,
      organization_id: member.organizationId,
      ...(member.kind === "user" ? { user_id: member.id, role: member.role } : {}),
    }))
    // Whoever can read the data folder has no credential that ends.
    .filter(({ kind }) => kind !== "operator");
  if (asked.length === 0) return new Set();
  const source = rowSource(db, { place: "int", credential_id: "text", organization_id: "text", user_id: "text", role: "text" });
  const rows = await rowsOf<{ place: number }>(
    db,
    `select r.place from ${source} where not exists (
       select 1 from logins l join users u on u.id = l.user_id
       where l.id = r.credential_id and u.id = r.user_id and u.role = r.role and u.is_active and l.ended_at is null and l.expires_at > ?
         and coalesce(l.organization_id, u.organization_id) = r.organization_id)
     and not exists (
       select 1 from access_tokens t left join users u on u.id = t.user_id
       where t.id = r.credential_id and t.organization_id = r.organization_id and t.revoked_at is null and (t.expires_at is null or t.expires_at > ?)
         and (r.user_id is null or (u.id = r.user_id and u.role = r.role and u.is_active)))`,
    [toJson(asked), isoOf(now), isoOf(now)],
  );
  return new Set(rows.map(({ place }) => members[place] as M));
}
