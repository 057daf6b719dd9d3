import assert from "node:assert/strict";
import { existsSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { readConfig } from "../../core/config.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");
const COMPOSE = read("docker-compose.yml");
const DOCKERFILE = read("Dockerfile");

test("the image holds every folder of the source, and the build gets no more than that", () => {
  const { include } = JSON.parse(read("tsconfig.json")) as { include: string[] };
  const source = include.filter((entry) => entry !== "test").toSorted();
  const copied = [...DOCKERFILE.matchAll(/^COPY (?!--from)(.+) \.\/\S*$/gm)].flatMap(([, files = ""]) => files.split(" "));
  const besides = ["hexahub.js", "package.json", "package-lock.json", ".npmrc", "LICENSE"];
  // npm has to know what the packages of the workspaces need before it installs them.
  const { workspaces } = JSON.parse(read("package.json")) as { workspaces: string[] };
  const expected = [...source, ...workspaces.map((folder) => `${folder}/package.json`)].toSorted();
  assert.deepEqual([...new Set(copied)].filter((file) => !besides.includes(file)).toSorted(), expected);
  const allowed = [...read(".dockerignore").matchAll(/^!(.+)$/gm)].map(([, file = ""]) => file);
  assert.deepEqual(allowed.toSorted(), [...source, ...besides].toSorted());
});

test("the hub in the image does not run as root and is watched over /health", () => {
  const users = [...DOCKERFILE.matchAll(/^USER (.+)$/gm)].map(([, user]) => user);
  assert.equal(users.at(-1), "node");
  assert.match(DOCKERFILE, /^HEALTHCHECK .*\\\n.*\/health/m);
});

test("each variable that the compose file hands to the hub is a setting of this release, and empty means unset", () => {
  const names = [...serviceBlock("hub").matchAll(/^ {6}([A-Z_]+): \$\{\1:-\}$/gm)].map(([, name = ""]) => name);
  assert.ok(names.includes("DATABASE_URL"), names.join(", "));
  const empty = readConfig(Object.fromEntries(names.map((name) => [name, ""])), (file) => readFileSync(file, "utf8"));
  assert.deepEqual(
    empty,
    readConfig({}, (file) => readFileSync(file, "utf8")),
  );
});

test("no service but Caddy is open to the network unless somebody says so", () => {
  const published = [...COMPOSE.matchAll(/"([^"\s]+:\d+:\d+)"/g)].map(([, port = ""]) => port);
  assert.ok(published.length >= 5, published.join(", "));
  const open = published.filter((port) => !/^(127\.0\.0\.1|\$\{HUB_BIND:-127\.0\.0\.1\}):/.test(port));
  assert.deepEqual(open, ["${CADDY_BIND:-0.0.0.0}:80:80", "${CADDY_BIND:-0.0.0.0}:443:443"]);
});

test("every image has a version, and every password comes from a file without a default", () => {
  const images = [...COMPOSE.matchAll(/^ {4}image: (.+)$/gm)].map(([, image = ""]) => image);
  for (const image of images) assert.match(image, /:(local|v?\d[\w.-]*)$/);
  const passwords = COMPOSE.split("\n").filter((line) => /PASSWORD\w*:/.test(line));
  assert.ok(passwords.length >= 4);
  for (const line of passwords) assert.match(line, /_FILE: \/run\/secrets\/\w+$|: \$\{(\w+):-\}$/);
});

test("every service but the hub waits for its profile, and each has a health check", () => {
  const services = [...(COMPOSE.split(/^services:$/m)[1]?.split(/^\w+:$/m)[0] ?? "").matchAll(/^ {2}([a-z]+):$/gm)].map(
    ([, name = ""]) => name,
  );
  assert.deepEqual(services, ["hub", "postgres", "redis", "clickhouse", "caddy", "prometheus", "grafana"]);
  for (const name of services.filter((service) => service !== "hub")) {
    assert.ok(serviceBlock(name).includes(`profiles: [${name}]`), name);
    assert.match(serviceBlock(name), /^ {4}healthcheck:$/m);
  }
});

test("the files that the compose file mounts are there", () => {
  const mounted = [...COMPOSE.matchAll(/- (\.\/[^:]+):/g)].map(([, file = ""]) => file);
  assert.equal(mounted.length, 3);
  for (const file of mounted) assert.ok(existsSync(path.join(ROOT, file)), file);
});

test("the one command of continuous integration is executable", () => {
  assert.ok(statSync(path.join(ROOT, ".ci/run")).mode & 0o111);
});

function serviceBlock(name: string): string {
  const from = COMPOSE.indexOf(`\n  ${name}:\n`);
  assert.notEqual(from, -1, name);
  const rest = COMPOSE.slice(from + name.length + 4);
  const end = rest.search(/\n {0,2}[a-z]\w*:$/m);
  return end === -1 ? rest : rest.slice(0, end);
}

function read(file: string): string {
  return readFileSync(path.join(ROOT, file), "utf8");
}
