import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import type { Check } from "../../api/cli/checks.ts";
import { columnsOf, TABLES } from "../../store/clickhouse-tables.ts";
import { type ClickhouseRefusal, startClickhouseReceiver } from "../support/clickhouse-receiver.ts";
import { freePort } from "../support/services.ts";
import { temporaryFolder } from "../support/wait.ts";
import { hexahub } from "./command-line.ts";
import { startRecordingHub } from "./recording-hub.ts";

type Findings = Readonly<Record<string, Check>>;

/** What the doctor finds of ClickHouse, by name; `metrics`: of a hub that runs here. */
async function examine(url: string | undefined, metrics?: string): Promise<{ code: number; findings: Findings }> {
  await using folder = temporaryFolder();
  await using hub = await startRecordingHub(({ path: asked }) =>
    asked === "/metrics" && metrics !== undefined ? { status: 200, text: metrics } : { status: 200, body: { status: "ok" } },
  );
  if (metrics !== undefined)
    writeFileSync(path.join(folder.path, "operator.json"), JSON.stringify({ url: hub.url, token: "t", pid: process.pid }), { mode: 0o600 });
  const { code, stdout } = await hexahub(["doctor", "--json"], {
    env: {
      HEXA_HTTP_PORT: "0",
      HEXA_MQTT_PORT: "0",
      HEXA_MQTTS_PORT: "0",
      HEXA_DATA_DIR: folder.path,
      ...(url !== undefined && { CLICKHOUSE_URL: url }),
    },
  });
  const { checks } = JSON.parse(stdout) as { checks: Check[] };
  const ofClickhouse = checks.filter(({ name }) => name.startsWith("clickhouse"));
  return { code, findings: Object.fromEntries(ofClickhouse.map((check) => [check.name, check])) };
}

interface Description {
  readonly version?: string;
  readonly aheadMs?: number;
  readonly hasTables?: boolean;
  /** Types of columns as they are, by table and name; null is one that is not there. */
  readonly changed?: Readonly<Record<string, string | null>>;
  readonly lacks?: RegExp;
  readonly knowsGrants?: boolean;
}

const lines = (rows: readonly object[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join("");

/** What a ClickHouse that is so answers to the questions of the doctor. */
const described =
  ({ version = "26.7.2.1", aheadMs = 0, hasTables = true, changed = {}, lacks, knowsGrants = true }: Description) =>
  (question: string): string | ClickhouseRefusal => {
    if (question.includes("version()")) return lines([{ version, now: Date.now() + aheadMs }]);
    if (question.includes("system.databases")) return lines(hasTables ? [{ 1: 1 }] : []);
    if (question.includes("system.tables"))
      return lines(TABLES.map(({ name, orderBy }) => ({ name, engine: "ReplacingMergeTree", sorting_key: orderBy.slice(1, -1) })));
    if (question.includes("system.columns"))
      return lines(
        TABLES.flatMap((table) =>
          [...columnsOf(table)].flatMap(([name, type]) => {
            const found = changed[`${table.name}.${name}`];
            return found === null ? [] : [{ table: table.name, name, type: found ?? type }];
          }),
        ),
      );
    if (!knowsGrants) return { code: "62", message: "Syntax error (SYNTAX_ERROR)" };
    return lacks?.test(question) ? "0\n" : "1\n";
  };

const failure: (finding: Check | undefined) => string = (finding) => (finding?.result === "failed" ? finding.detail : `${finding?.result}`);

test("a hub without ClickHouse has no line about it", async () => {
  assert.deepEqual((await examine(undefined)).findings, {});
});

test("one that has what the hub needs passes, whether its tables are there or are still to be made", async () => {
  await using server = await startClickhouseReceiver();
  for (const hasTables of [true, false]) {
    server.tell = described({ hasTables });
    const { findings, code } = await examine(server.url);
    assert.deepEqual(
      Object.values(findings).map(({ name, result }) => [name, result]),
      ["clickhouse", "clickhouse tables", "clickhouse rights", "clickhouse clock"].map((name) => [name, "ok"]),
    );
    assert.match(findings["clickhouse"]?.detail ?? "", /^version 26\.7\.2\.1 answers at http:\/\/127\.0\.0\.1:\d+\/hexahub$/);
    assert.equal(code, 0);
  }
  assert.deepEqual([server.statements, server.inserts], [[], []], "nothing is changed there");
});

test("a ClickHouse that is away, that is none, or that does not know the user is a failure with its code and its cure", async () => {
  await using server = await startClickhouseReceiver();
  const away = await examine(`http://hexahub:secret@127.0.0.1:${await freePort()}/hexahub`);
  assert.match(failure(away.findings["clickhouse"]), /^no answer from http:\/\/127\.0\.0\.1:\d+\/hexahub \(.*ECONNREFUSED/);
  assert.ok(!JSON.stringify(away).includes("secret"));
  assert.equal(away.code, 1);
  assert.match(failure((await examine(server.url)).findings["clickhouse"]), /is no ClickHouse/);
  server.tell = () => ({ code: "516", message: "hexahub: Authentication failed. (AUTHENTICATION_FAILED)" });
  const { findings } = await examine(server.url);
  assert.match(failure(findings["clickhouse"]), /refuses with code 516: .*Authentication failed/);
  assert.match(findings["clickhouse"]?.mend ?? "", /^correct user and password in CLICKHOUSE_URL; .*nothing is lost$/);
  assert.deepEqual(Object.keys(findings), ["clickhouse"]);
});

test("a version that is too old is a failure, and one that does not tell rights is none", async () => {
  await using server = await startClickhouseReceiver();
  const results: string[] = [];
  for (const version of ["22.8.5.29", "23.2.7.32", "23.3.1.2823", "24.8.4.13", "100.1.1"]) {
    server.tell = described({ version, knowsGrants: false });
    const { findings } = await examine(server.url);
    results.push(`${findings["clickhouse"]?.result} ${findings["clickhouse rights"]?.result}`);
  }
  assert.deepEqual(results, ["failed undefined", "failed undefined", "ok skipped", "ok skipped", "ok skipped"]);
});

test("tables that somebody has changed, and rights that the user lacks, are failures that name them", async () => {
  await using server = await startClickhouseReceiver();
  server.tell = described({
    changed: { "telemetry.v": "Float64", "events.data": null },
    lacks: /^check grant (?:ALTER DELETE on `hexahub`\.events|INSERT on `hexahub`\.audit)$/,
  });
  const { findings, code } = await examine(server.url);
  assert.equal(failure(findings["clickhouse tables"]), "not as the hub has made them: telemetry.v is Float64, events.data is missing");
  assert.equal(failure(findings["clickhouse rights"]), "the user of CLICKHOUSE_URL lacks ALTER DELETE ON events, INSERT ON audit");
  assert.equal(code, 1);
  server.tell = described({ hasTables: false, lacks: /CREATE/ });
  assert.equal(
    failure((await examine(server.url)).findings["clickhouse rights"]),
    "the user of CLICKHOUSE_URL lacks CREATE DATABASE ON *, CREATE TABLE ON *",
  );
});

test("a clock that is ahead or behind is a warning", async () => {
  await using server = await startClickhouseReceiver();
  const found: string[] = [];
  for (const aheadMs of [0, 60_000, -3_600_000]) {
    server.tell = described({ aheadMs });
    const { findings, code } = await examine(server.url);
    found.push(`${findings["clickhouse clock"]?.result}: ${findings["clickhouse clock"]?.detail.split(":")[0]}`);
    assert.equal(code, 0);
  }
  assert.deepEqual(found, ["ok: as this machine's", "warning: ahead by 60 s", "warning: behind by 3600 s"]);
});

test("the running hub tells how far ClickHouse is behind, what was refused, and that it does not know of it", async () => {
  await using server = await startClickhouseReceiver();
  server.tell = described({});
  const metrics = (telemetry: number, refused: number): string => `# HELP hexahub_clickhouse_lag_seconds Age
hexahub_clickhouse_lag_seconds{lane="telemetry"} ${telemetry}
hexahub_clickhouse_lag_seconds{lane="events"} 0.5
hexahub_clickhouse_refused_segments ${refused}
`;
  const lag = async (text: string) => (await examine(server.url, text)).findings["clickhouse lag"];
  const found = [await lag(metrics(2.2, 0)), await lag(metrics(4_000, 0)), await lag(metrics(4_000, 3)), await lag("up 1\n")];
  assert.deepEqual(
    found.map((finding) => `${finding?.result}: ${finding?.detail}`),
    [
      "ok: 2 s",
      "warning: behind: telemetry 4000 s",
      "warning: ClickHouse has refused 3 segments, which are set aside",
      "failed: the running hub has no CLICKHOUSE_URL",
    ],
  );
});
