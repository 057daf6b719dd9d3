import { queryOptions } from "@tanstack/react-query";
import { hub, take } from "./client.ts";
import { sendHeld } from "./held.ts";
import { queries } from "./queries.ts";
import { leave } from "./session.ts";

/** Those that the person may act in. */
export const organizations = queryOptions({
  queryKey: ["organizations"],
  queryFn: () => take(hub.GET("/api/v1/organizations")),
});

/** From now on, in every tab of this login; begins at `path` there, with nothing of what was asked for here. */
export async function actIn(id: string, path = "/"): Promise<void> {
  await sendHeld();
  await take(hub.POST("/api/v1/auth/organization", { body: { organization_id: id } }));
  queries.clear();
  leave(path);
}

export async function makeOrganization(name: string): Promise<void> {
  const { organization } = await take(hub.POST("/api/v1/organizations", { body: { name } }));
  await actIn(organization.id);
}
