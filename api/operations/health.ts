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
  summary: "Whether the hub works: it answers, its database does, and there is room to write",
  access: "none",
  replies: {
    200: {
      description: "It works",
      schema: Type.Object(
        {
          status: Type.Literal("ok"),
          version: Type.String(),
          database: Type.Literal("ok"),
          storage: Type.Literal("ok"),
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
    checkStorage(context);
    return {
      status: 200,
      body: {
        status: "ok",
        version: context.settings.version,
        database: "ok",
        storage: "ok",
        sessions: context.sessions.count(),
        time: new Date(context.clock()).toISOString(),
      },
    };
  },
});

interface Components {
  readonly database: "ok" | "late" | "failed";
  readonly storage: "ok" | "full";
}

/** What does not work, and what is known of the rest. */
function degraded({ sessions }: ApiContext, message: string, components: Components): HubError {
  return new HubError("unavailable", message, { details: { ...components, sessions: sessions.count() } });
}

function checkStorage(context: ApiContext): void {
  if (context.storage.isFull)
    throw degraded(context, "the storage is full: nothing that must be kept is acknowledged", { database: "ok", storage: "full" });
}

async function checkDatabase(context: ApiContext): Promise<void> {
  const { store, log, storage } = context;
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
    throw degraded(
      context,
      result === "late" ? `the database did not answer within ${DATABASE_LIMIT_MS} ms` : "the database does not work",
      { database: result, storage: storage.isFull ? "full" : "ok" },
    );
}
