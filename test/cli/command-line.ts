import { readFileSync } from "node:fs";
import { Readable, Writable } from "node:stream";
import type { CliActions } from "../../api/cli/actions.ts";
import { runCli } from "../../api/cli/program.ts";
import { inspectRedis } from "../../broker/cluster-inspection.ts";
import { readConfig } from "../../core/config.ts";
import { inspectClickhouse } from "../../store/clickhouse-inspection.ts";

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Surroundings {
  readonly env?: Record<string, string>;
  readonly stdin?: string;
  /** Instead of the actions that other rooms would do. */
  readonly actions?: Partial<Pick<CliActions, "serve" | "dbMigrate" | "dbStatus" | "docs">>;
}

/** Runs one command line inside this process, with streams of its own. */
export async function hexahub(args: readonly string[], surroundings: Surroundings = {}): Promise<Outcome> {
  const { env = {}, stdin = "", actions = {} } = surroundings;
  const out = collector();
  const err = collector();
  const code = await runCli(
    {
      version: "9.8.7",
      terminal: { stdin: Readable.from([stdin]), stdout: out.stream, stderr: err.stream },
      readConfig: () => readConfig(env, (path) => readFileSync(path, "utf8")),
      serve: async () => undefined,
      dbMigrate: async () => ({ done: [] }),
      dbStatus: async () => ({ done: [], pending: [] }),
      redisServers: inspectRedis,
      clickhouseServer: inspectClickhouse,
      docs: async () => ({ changed: [] }),
      ...actions,
    },
    args,
  );
  return { code, stdout: out.text(), stderr: err.text() };
}

function collector(): { stream: Writable; text: () => string } {
  const chunks: string[] = [];
  const stream = new Writable({
    write(chunk: Buffer | string, _encoding, done) {
      chunks.push(chunk.toString());
      done();
    },
  });
  return { stream, text: () => chunks.join("") };
}
