import type { Command } from "commander";
import { type Config, ConfigError } from "../../core/config.ts";
import type { CliActions } from "./actions.ts";
import {
  type Check,
  checkCertificate,
  checkClock,
  checkDataFolder,
  checkDatabase,
  checkNode,
  checkOperatorFile,
  checkPorts,
} from "./checks.ts";
import { checkClickhouse, checkShipping } from "./check-clickhouse.ts";
import { checkRedis } from "./check-redis.ts";
import { CliError, EXIT } from "./exit.ts";
import { findOperatorFile } from "./hub-client.ts";
import { type Health, isAlive, probeHealth, readMetrics } from "./health.ts";
import type { Session } from "./session.ts";

const MARKS = { ok: "✓", warning: "!", failed: "✗", skipped: "–" } as const;

type DoctorActions = Pick<CliActions, "dbStatus" | "redisServers" | "clickhouseServer">;

export function addDoctorCommand(program: Command, session: Session, actions: DoctorActions): void {
  program
    .command("doctor")
    .description("check the machine, the settings and the hub; each finding says how to mend it")
    .action(async () => {
      const checks = await examine(session, actions, program.opts<{ url?: string }>().url);
      const failed = checks.filter((check) => check.result === "failed").length;
      session.print({ ok: failed === 0, checks }, () => checks.map(lineOf).join("\n"));
      if (failed > 0) throw new CliError(EXIT.failed, "unhealthy", failed === 1 ? "one check failed" : `${failed} checks failed`);
    });
}

function lineOf({ result, name, detail, mend }: Check): string {
  return `${MARKS[result]} ${name}: ${detail}${mend === undefined ? "" : `\n  ${mend}`}`;
}

async function examine(session: Session, actions: DoctorActions, url: string | undefined): Promise<Check[]> {
  const checks: Check[] = [checkNode(process.versions.node)];
  let config: Config;
  try {
    config = session.config();
    checks.push({ name: "settings", result: "ok", detail: "in order" });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return [
      ...checks,
      ...error.problems.map(
        ({ variable, what, mend }): Check => ({ name: "settings", result: "failed", detail: `${variable} ${what}`, mend }),
      ),
    ];
  }
  checks.push(await checkDataFolder(config.dataDir), await checkOperatorFile(config.dataDir));
  const { check, health, target } = await examineHub(config, url);
  checks.push(check);
  // Ports, certificate and database are this machine's; a hub elsewhere does not hold them.
  const isOwn = health !== undefined && url === undefined && config.url === undefined;
  checks.push(
    ...(await checkPorts(config, isOwn)),
    await checkCertificate(config, isOwn),
    await checkDatabase(config, { hubIsHealthy: isOwn && health.isOk, status: actions.dbStatus }),
  );
  if (config.redisUrl !== undefined) checks.push(checkRedis(await actions.redisServers(config.redisUrl)));
  if (config.clickhouseUrl !== undefined) {
    checks.push(...checkClickhouse(await actions.clickhouseServer(config.clickhouseUrl)));
    // Through a proxy its metrics are for administrators.
    const metrics = isOwn && target !== undefined ? await readMetrics(target) : undefined;
    if (metrics !== undefined) checks.push(checkShipping(metrics));
  }
  checks.push(checkClock(Date.now(), health?.date));
  return checks;
}

interface ExaminedHub {
  readonly check: Check;
  readonly health: Health | undefined;
  readonly target?: string;
}

/** A hub that was not started is no failure; one that was named, or whose process lives, has to answer. */
async function examineHub(config: Config, url: string | undefined): Promise<ExaminedHub> {
  const named = url ?? config.url;
  const operator = named === undefined ? readOperatorFile(config.dataDir) : undefined;
  const target = named ?? operator?.url;
  if (target === undefined)
    return {
      check: { name: "hub", result: "skipped", detail: "none runs on this data folder", mend: "start it with `npx hexahub serve`" },
      health: undefined,
    };
  const health = await probeHealth(target);
  if (health?.isOk) return { check: { name: "hub", result: "ok", detail: `answers at ${target}` }, health, target };
  if (health)
    return {
      check: {
        name: "hub",
        result: "failed",
        detail: `answers at ${target} that it is not healthy (status ${health.status}): ${health.body}`,
        mend: "its log says why",
      },
      health,
    };
  if (operator && !isAlive(operator.pid))
    return {
      check: {
        name: "hub",
        result: "skipped",
        detail: "not running; the last one did not stop cleanly",
        mend: "start it with `npx hexahub serve`",
      },
      health,
    };
  return {
    check: {
      name: "hub",
      result: "failed",
      detail: `does not answer at ${target}`,
      mend: operator
        ? `process ${operator.pid} holds the data folder: look at its log, or end it`
        : "check the address, and that the hub runs there",
    },
    health,
  };
}

function readOperatorFile(dataDir: string): ReturnType<typeof findOperatorFile> {
  try {
    return findOperatorFile(dataDir);
  } catch (error) {
    // checkOperatorFile has said so already.
    if (error instanceof CliError) return undefined;
    throw error;
  }
}
