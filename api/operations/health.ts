import { setTimeout as delay } from "node:timers/promises";
import Type from "typebox";
import { HubError } from "../../core/errors.ts";
import { firstOrganization } from "../../store/organizations.ts";
import type { ApiContext } from "../context.ts";
import { defineRoute } from "../route.ts";

const DATABASE_LIMIT_MS = 2_000;

export const health = defineRoute({
  method: "GET",
  path: "/health",
  tag: "Operations",
  summary: "Whether the hub works: it answers, and its database does",
  access: "none",
  replies: {
    200: {
      description: "It works",
      schema: Type.Object(
        {
          status: Type.Literal("ok"),
          version: Type.String(),
          database: Type.Literal("ok"),
          sessions: Type.Integer({ description: "MQTT sessions that are connected" }),
          time: Type.String(),
        },
        { title: "Health" },
      ),
    },
  },
  errors: ["unavailable"],
  async handler({ context }) {
    await checkDatabase(context);
    return {
      status: 200,
      body: {
        status: "ok",
        version: context.settings.version,
        database: "ok",
        sessions: context.sessions.count(),
        time: new Date(context.clock()).toISOString(),
      },
    };
  },
});

async function checkDatabase({ store, log, sessions }: ApiContext): Promise<void> {
  const end = new AbortController();
  const limit = delay(DATABASE_LIMIT_MS, "late" as const, { signal: end.signal }).catch(() => "late" as const);
  const answer = firstOrganization(store.db).then(
    () => "ok" as const,
    (error: unknown) => {
      log.warn({ err: error }, "database check failed");
      return "failed" as const;
    },
  );
  const result = await Promise.race([answer, limit]);
  end.abort();
  if (result !== "ok")
    throw new HubError(
      "unavailable",
      result === "late" ? `the database did not answer within ${DATABASE_LIMIT_MS} ms` : "the database does not work",
      { details: { database: result, sessions: sessions.count() } },
    );
}
