import type { ClickhouseFault, ClickhouseServer } from "../../core/clickhouse-server.ts";
import type { Check } from "./checks.ts";

type Described = Extract<ClickhouseServer, { version: string }>;

/** The oldest that deletes rows as the hub asks it to. */
const MIN_VERSION = [23, 3] as const;
const MAX_CLOCK_SKEW_MS = 5_000;
/** Behind that much something is wrong; it is a few seconds as a rule. */
const MAX_LAG_S = 300;

/** REQUIRED_PASSWORD, WRONG_PASSWORD, UNKNOWN_USER, AUTHENTICATION_FAILED */
const LOG_IN = new Set(["192", "193", "194", "516"]);
const NOT_LOST = "until then what is stored waits in the hub's database, and nothing is lost";

/** What the server says about itself. What it cannot do without is a failure. */
export function checkClickhouse(server: ClickhouseServer): Check[] {
  if (server.fault !== undefined) return [unusable(server.address, server.fault)];
  const version = checkVersion(server);
  if (version.result === "failed") return [version];
  return [version, checkTables(server), checkRights(server), checkSkew(server)];
}

function unusable(address: string, { message, code }: ClickhouseFault): Check {
  const name = "clickhouse";
  if (code === undefined)
    return {
      name,
      result: "failed",
      detail: `no answer from ${address} (${message})`,
      mend: `start it, or correct CLICKHOUSE_URL; ${NOT_LOST}`,
    };
  const mend = LOG_IN.has(code) ? "correct user and password in CLICKHOUSE_URL" : "mend what it says";
  return { name, result: "failed", detail: `${address} refuses with code ${code}: ${message.slice(0, 300)}`, mend: `${mend}; ${NOT_LOST}` };
}

function checkVersion({ address, version }: Described): Check {
  const name = "clickhouse";
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major > MIN_VERSION[0] || (major === MIN_VERSION[0] && minor >= MIN_VERSION[1]))
    return { name, result: "ok", detail: `version ${version} answers at ${address}` };
  return {
    name,
    result: "failed",
    detail: `${address} is version ${version}`,
    mend: `the hub needs ClickHouse ${MIN_VERSION.join(".")} or later`,
  };
}

function checkTables({ hasDatabase, tables }: Described): Check {
  const name = "clickhouse tables";
  const differences = tables.flatMap((table) => table.differences);
  if (differences.length > 0)
    return {
      name,
      result: "failed",
      detail: `not as the hub has made them: ${differences.join(", ")}`,
      mend: "change them back (docs/clickhouse.md), or rename them: the hub makes a table that is not there",
    };
  const absent = tables.filter(({ isThere }) => !isThere).map((table) => table.name);
  if (!hasDatabase) return { name, result: "ok", detail: "the database is made when the hub ships" };
  if (absent.length > 0) return { name, result: "ok", detail: `${absent.join(", ")}: made when the hub ships` };
  return { name, result: "ok", detail: tables.map((table) => table.name).join(", ") };
}

function checkRights({ missingRights }: Described): Check {
  const name = "clickhouse rights";
  if (missingRights === undefined) return { name, result: "skipped", detail: "version 24.11 and later tell them" };
  if (missingRights.length === 0) return { name, result: "ok", detail: "all that the hub needs" };
  return {
    name,
    result: "failed",
    detail: `the user of CLICKHOUSE_URL lacks ${missingRights.join(", ")}`,
    mend: "GRANT them to that user, on the database of CLICKHOUSE_URL",
  };
}

function checkSkew({ skewMs }: Described): Check {
  const name = "clickhouse clock";
  if (Math.abs(skewMs) <= MAX_CLOCK_SKEW_MS) return { name, result: "ok", detail: "as this machine's" };
  return {
    name,
    result: "warning",
    detail: `${skewMs > 0 ? "ahead" : "behind"} by ${Math.round(Math.abs(skewMs) / 1_000)} s: rows go that much ${skewMs > 0 ? "before" : "after"} their days are over`,
    mend: "switch on time synchronisation on both machines",
  };
}

/** How far ClickHouse is behind, by the metrics of the running hub. */
export function checkShipping(metrics: string): Check {
  const name = "clickhouse lag";
  const valuesOf = (metric: string): { lane: string; value: number }[] =>
    [...metrics.matchAll(new RegExp(`^hexahub_clickhouse_${metric}(?:\\{lane="(\\w+)"\\})? (\\S+)$`, "gm"))].map(
      ([, lane = "", value]) => ({
        lane,
        value: Number(value),
      }),
    );
  const lags = valuesOf("lag_seconds");
  if (lags.length === 0)
    return {
      name,
      result: "failed",
      detail: "the running hub has no CLICKHOUSE_URL",
      mend: "restart it with the settings that it is to have",
    };
  const refused = valuesOf("refused_segments")[0]?.value ?? 0;
  if (refused > 0)
    return {
      name,
      result: "warning",
      detail: `ClickHouse has refused ${refused} segments, which are set aside`,
      mend: "events of type clickhouse.refused say why; they are tried again when the hub starts",
    };
  const late = lags.filter(({ value }) => value > MAX_LAG_S).map(({ lane, value }) => `${lane} ${Math.round(value)} s`);
  if (late.length === 0) return { name, result: "ok", detail: `${Math.round(Math.max(...lags.map(({ value }) => value)))} s` };
  return {
    name,
    result: "warning",
    detail: `behind: ${late.join(", ")}`,
    mend: "the hub's log says why, once a minute; what is there already is sent first",
  };
}
