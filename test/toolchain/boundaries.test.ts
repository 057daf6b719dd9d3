import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../support/wait.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");
const ROOMS = ["core", "store", "broker", "rules", "bridges", "api", "firmware", "migrations", "test"] as const;

/** What each room may import besides itself; the arrows of docs/architecture.md. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  core: [],
  store: ["core"],
  broker: ["core", "store"],
  rules: ["core", "store"],
  bridges: ["core", "store"],
  api: ["core", "store"],
  firmware: ["core"],
  migrations: ["core", "store"],
};

/** Where each library may be imported. */
const OWNERS: Record<string, readonly string[]> = {
  aedes: ["broker/"],
  "aedes-persistence": ["broker/"],
  ws: ["broker/"],
  "@peculiar/x509": ["broker/"],
  koa: ["api/"],
  "oidc-provider": ["api/"],
  "koa-helmet": ["api/"],
  "rate-limiter-flexible": ["api/"],
  "@koa/router": ["api/"],
  knex: ["store/", "migrations/"],
  pg: ["store/", "migrations/"],
  "node:sqlite": ["store/", "migrations/"],
  jsonwebtoken: ["store/"],
  "@clickhouse/client": ["store/"],
  bcryptjs: ["store/"],
  commander: ["main.ts", "api/cli/"],
  "prom-client": ["main.ts", "api/"],
  mqtt: ["firmware/", "bridges/"],
  nodemailer: ["bridges/"],
};

test("every import against the arrows is refused, as an import, a type, a re-export and a dynamic import, and no other is", () => {
  using tree = plantedTree();
  const expected = new Set<string>();
  for (const [room, allowed] of Object.entries(MAY_IMPORT)) {
    for (const other of ROOMS) {
      if (other === room) continue;
      for (const [form, code] of Object.entries(formsOfImport(`../../${other}/planted.ts`))) {
        const file = `${room}/deep/${other}-${form}.ts`;
        tree.plant(file, code);
        if (!allowed.includes(other)) expected.add(file);
      }
    }
    tree.plant(`${room}/to-main.ts`, 'export { value } from "../main.ts";\n');
    expected.add(`${room}/to-main.ts`);
  }
  assert.deepEqual(tree.findings("no-restricted-imports"), [...expected].toSorted());
});

test("a library is refused everywhere but at its owner's", () => {
  using tree = plantedTree();
  const places = [...ROOMS.filter((room) => room !== "test").map((room) => `${room}/`), "api/cli/"];
  const expected: string[] = [];
  for (const [library, owners] of Object.entries(OWNERS)) {
    for (const place of places) {
      const file = `${place}uses-${library.replaceAll(/[^a-z0-9]+/g, "-").replace(/^-/, "")}.ts`;
      tree.plant(file, importing(library));
      if (!owners.includes(place)) expected.push(file);
    }
  }
  assert.deepEqual(tree.findings("no-restricted-imports"), expected.toSorted());
  for (const [library, owners] of Object.entries(OWNERS)) {
    tree.plant("main.ts", importing(library));
    assert.deepEqual(tree.findings("no-restricted-imports", ["main.ts"]), owners.includes("main.ts") ? [] : ["main.ts"], library);
  }
});

test("the console knows the hub by its API alone", () => {
  using tree = plantedTree();
  const refused = {
    core: "../../../core/planted.ts",
    store: "../../../store/planted.ts",
    main: "../../../main.ts",
    node: "node:fs",
    koa: "koa",
  };
  for (const [name, library] of Object.entries(refused)) tree.plant(`api/admin/src/uses-${name}.ts`, importing(library));
  tree.plant("api/admin/src/uses-mqtt.ts", importing("mqtt"));
  assert.deepEqual(
    tree.findings("no-restricted-imports"),
    Object.keys(refused)
      .map((name) => `api/admin/src/uses-${name}.ts`)
      .toSorted(),
  );
});

test("the environment is read in main.ts and in tests, and nowhere else", () => {
  using tree = plantedTree();
  const read = "export const home = process.env.HOME;\n";
  for (const file of ["main.ts", "test/reads.ts", ...Object.keys(MAY_IMPORT).map((room) => `${room}/reads.ts`)]) tree.plant(file, read);
  tree.plant("core/sneaks.ts", 'import { env } from "node:process";\nexport const home = env.HOME;\n');
  assert.deepEqual(
    tree.findings("no-process-env"),
    Object.keys(MAY_IMPORT)
      .map((room) => `${room}/reads.ts`)
      .toSorted(),
  );
  assert.deepEqual(tree.findings("no-restricted-imports"), ["core/sneaks.ts"]);
});

test("a floating promise is found, which needs the types", () => {
  using tree = plantedTree();
  tree.plant("core/floats.ts", "export async function work(): Promise<void> {}\nexport function start(): void {\n  work();\n}\n");
  tree.plant("core/waits.ts", 'import { work } from "./floats.ts";\nexport async function start(): Promise<void> {\n  await work();\n}\n');
  assert.deepEqual(tree.findings("no-floating-promises"), ["core/floats.ts"]);
});

test("the house rules bite: any, default exports, barrels, comments that silence the compiler, type imports without the word", () => {
  using tree = plantedTree();
  tree.plant("core/kinds.ts", "export interface Kind {\n  name: string;\n}\n");
  const planted: Record<string, string> = {
    "no-explicit-any": "export const value: any = 1;\n",
    "no-default-export": "export default 1;\n",
    "no-barrel-file": 'export * from "./kinds.ts";\n',
    "ban-ts-comment": '// @ts-ignore\nexport const value: number = "one";\n',
    "consistent-type-imports": 'import { Kind } from "./kinds.ts";\nexport const kind: Kind = { name: "relay" };\n',
    "no-warning-comments": "// XXX: later\nexport const value = 1;\n",
  };
  for (const [rule, code] of Object.entries(planted)) tree.plant(`core/plants-${rule}.ts`, code);
  for (const rule of Object.keys(planted)) assert.deepEqual(tree.findings(rule), [`core/plants-${rule}.ts`], rule);
});

test("a test may not sleep", () => {
  using tree = plantedTree();
  tree.plant("test/sleepy.test.ts", 'import { setTimeout } from "node:timers/promises";\nawait setTimeout(10);\n');
  assert.deepEqual(tree.findings("no-restricted-imports"), ["test/sleepy.test.ts"]);
});

function formsOfImport(target: string): Record<string, string> {
  return {
    value: `import { value } from "${target}";\nexport const kept = value;\n`,
    type: `import type { Kind } from "${target}";\nexport const kept: Kind | undefined = undefined;\n`,
    again: `export { value } from "${target}";\n`,
    late: `export const load = () => import("${target}");\n`,
  };
}

function importing(library: string): string {
  return `import * as planted from "${library}";\nexport const kept = planted;\n`;
}

interface PlantedTree extends Disposable {
  plant(file: string, code: string): void;
  /** Files in which the project's linter settings find a breach of the rule, sorted. */
  findings(rule: string, files?: readonly string[]): string[];
}

/** An empty project with the linter settings of this one. */
function plantedTree(): PlantedTree {
  const folder = temporaryFolder("hexahub-lint");
  copyFileSync(path.join(ROOT, ".oxlintrc.json"), path.join(folder.path, ".oxlintrc.json"));
  const compilerOptions = { module: "nodenext", target: "esnext", strict: true, allowImportingTsExtensions: true, noEmit: true, types: [] };
  writeFileSync(path.join(folder.path, "tsconfig.json"), JSON.stringify({ compilerOptions }));
  const plant = (file: string, code: string) => {
    mkdirSync(path.dirname(path.join(folder.path, file)), { recursive: true });
    writeFileSync(path.join(folder.path, file), code);
  };
  for (const room of ROOMS) plant(`${room}/planted.ts`, "export const value = 1;\nexport type Kind = string;\n");
  plant("main.ts", "export const value = 1;\n");
  return {
    plant,
    findings: (rule, files = []) => {
      const args = [path.join(ROOT, "node_modules/oxlint/bin/oxlint"), "--format=json", ...files];
      const run = spawnSync(process.execPath, args, { cwd: folder.path, encoding: "utf8", timeout: 60_000 });
      const report = JSON.parse(run.stdout) as { diagnostics: { code: string; filename: string }[] };
      const hits = report.diagnostics.filter(({ code }) => code.endsWith(`(${rule})`)).map(({ filename }) => filename);
      return [...new Set(hits)].toSorted();
    },
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  };
}
