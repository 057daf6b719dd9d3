import type { Db } from "./open.ts";

/** Days by organisation: its own setting, else the platform's. */
export async function ownRetentions(db: Db, key: string): Promise<Map<string, number>> {
  const settings = (await db("service_settings").where({ setting_key: key }).select("organization_id", "content")) as {
    organization_id: string | null;
    content: string;
  }[];
  const wanted = new Map(settings.map(({ organization_id, content }) => [organization_id, JSON.parse(content) as unknown]));
  const organizations = wanted.size === 0 ? [] : ((await db("organizations").select("id")) as { id: string }[]);
  const found = new Map<string, number>();
  for (const { id } of organizations) {
    const days = wanted.get(id) ?? wanted.get(null);
    // A value that was written before it was checked is none.
    if (typeof days === "number" && Number.isInteger(days) && days >= 1) found.set(id, days);
  }
  return found;
}
