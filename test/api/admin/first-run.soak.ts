import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { cp, mkdir, readFile } from "node:fs/promises";
import path from "node:path";
import { createInterface } from "node:readline";
import { test, type TestContext } from "node:test";
import { promisify } from "node:util";
import type { Locator, Page } from "playwright-core";
import { startBrowser } from "../../support/browser.ts";
import { chromiumMissing } from "../../support/services.ts";
import { temporaryFolder, until } from "../../support/wait.ts";

const ROOT = path.join(import.meta.dirname, "../../..");
const LIMIT_S = 300;
const SETUP_LIMIT_S = 60;
const FREE_PORTS = { HEXA_HTTP_PORT: "0", HEXA_MQTT_PORT: "0", HEXA_MQTTS_PORT: "0" };
const run = promisify(execFile);

const skip = chromiumMissing() ?? (await registryMissing());

test("from an empty folder to a fired automation in five minutes", { skip, timeout: 2 * LIMIT_S * 1_000 }, async (context) => {
  await using folder = temporaryFolder("first-run");
  const watch = new Watch();
  const home = path.join(folder.path, "hexahub");
  await copyProject(home);
  await npm(["ci"], home);
  watch.note("npm ci");
  await using hub = await startAsUser(home);
  watch.note("build and start");

  await using browser = await startBrowser();
  await using visit = await browser.visit({ width: 1280, height: 800 });
  const { page } = visit;
  await setUp(page, hub.setupUrl);
  const setupS = watch.note("set-up");
  await page.getByRole("link", { name: "Make your first automation" }).click();
  await automate(page);
  watch.note("automation");
  watch.tell(context);
  assert.ok(setupS <= SETUP_LIMIT_S, `the set-up took ${setupS} s`);
  assert.ok(watch.totalS() <= LIMIT_S, `all of it took ${watch.totalS()} s`);
});

/** Three screens, until the chart moves. */
async function setUp(page: Page, url: string): Promise<void> {
  await page.goto(url);
  await page.getByLabel("Your name").fill("Ada");
  await page.getByLabel("E-mail").fill("ada@example.test");
  await page.locator("input[type=password]").fill("correct horse battery");
  await page.getByRole("button", { name: "Next" }).click();
  await page.getByLabel("Name of your home or company").fill("Home");
  await page.getByRole("button", { name: "Make the hub mine" }).click();
  const chart = page.getByRole("img", { name: /^Live chart; newest: / });
  const first = await chart.getAttribute("aria-label");
  await until(async () => (await chart.getAttribute("aria-label")) !== first, { what: "the chart to move", timeoutMs: 20_000 });
}

/** A light when much power is used; then it is used, and the light is on. */
async function automate(page: Page): Promise<void> {
  await page.getByRole("textbox", { name: "Name" }).fill("Light when the oven is on");
  const trigger = page.getByRole("group", { name: "Trigger 1" });
  await choose(trigger.getByRole("combobox", { name: "Device" }), "Energy meter");
  await choose(trigger.getByRole("combobox", { name: "Sensor" }), "power");
  await trigger.getByRole("textbox", { name: "Above" }).fill("1000");
  const action = page.getByRole("group", { name: "Action 1" });
  await choose(action.getByRole("combobox", { name: "Device" }), "Living room relays");
  await page.getByRole("button", { name: "Make it" }).click();
  await page.getByText("It has not fired yet.").waitFor();

  const menu = page.getByRole("navigation");
  await menu.getByRole("link", { name: "Devices", exact: true }).click();
  await page.getByRole("link", { name: "Energy meter" }).click();
  await page.getByRole("switch", { name: "Relay 0" }).click();
  await menu.getByRole("link", { name: "Automations", exact: true }).click();
  await page.getByRole("row", { name: /oven.*once/ }).waitFor({ timeout: 20_000 });
  await page.getByRole("link", { name: "Light when the oven is on" }).click();
  await page.getByRole("tab", { name: "Runs" }).click();
  await page.getByRole("row", { name: /Done.*A reading.*1 action/ }).waitFor();
  await menu.getByRole("link", { name: "Devices", exact: true }).click();
  await page.getByRole("link", { name: "Living room relays" }).click();
  await until(() => page.getByRole("switch", { name: "Relay 0" }).isChecked(), { what: "the light to be on" });
}

async function choose(field: Locator, option: string): Promise<void> {
  await field.click();
  await field.page().getByRole("option", { name: option }).click();
}

/** What somebody who clones it gets, with what is not committed yet. */
async function copyProject(to: string): Promise<void> {
  const { stdout } = await run("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], { cwd: ROOT });
  const files = stdout.split("\0").filter((file) => file !== "" && existsSync(path.join(ROOT, file)));
  await mkdir(to);
  for (const file of files) await cp(path.join(ROOT, file), path.join(to, file));
}

/** Of a machine that has Node and npm, and nothing of this project. */
function userEnvironment(home: string): NodeJS.ProcessEnv {
  const known = Object.entries(process.env).filter(([name]) => !/^(?:NODE|npm_(?!config_)|npm_config_(?:local|global)_prefix)/.test(name));
  const folders = (process.env["PATH"] ?? "").split(path.delimiter).filter((folder) => !folder.includes("node_modules"));
  return { ...Object.fromEntries(known), PATH: folders.join(path.delimiter), npm_config_cache: path.join(home, "../npm-cache") };
}

async function npm(words: readonly string[], home: string): Promise<void> {
  await run("npm", words, { cwd: home, env: userEnvironment(home), timeout: LIMIT_S * 1_000, maxBuffer: 2 ** 26 });
}

async function registryMissing(): Promise<string | undefined> {
  try {
    await run("npm", ["ping", "--fetch-retries=0"], { env: userEnvironment(ROOT), timeout: 20_000 });
    return undefined;
  } catch {
    return "the npm registry cannot be reached";
  }
}

interface UsersHub extends AsyncDisposable {
  /** As it stands in the terminal. */
  readonly setupUrl: string;
}

async function startAsUser(home: string): Promise<UsersHub> {
  const dataDir = path.join(home, "../data");
  const env = { ...userEnvironment(home), ...FREE_PORTS, HEXA_DATA_DIR: dataDir };
  const child = spawn("npm", ["start"], { cwd: home, env, stdio: ["ignore", "pipe", "inherit"] });
  const gone = once(child, "exit");
  const stop = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) process.kill(await endedBy(dataDir, child), "SIGTERM");
    await gone;
  };
  try {
    return { setupUrl: await printedAddress(child, gone), [Symbol.asyncDispose]: stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Ctrl+C in a terminal reaches the hub; a signal to npm alone does not. */
async function endedBy(dataDir: string, starter: ChildProcess): Promise<number> {
  const file = path.join(dataDir, "operator.json");
  return existsSync(file) ? (JSON.parse(await readFile(file, "utf8")) as { pid: number }).pid : (starter.pid ?? assert.fail());
}

async function printedAddress(child: ChildProcess, gone: Promise<unknown>): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const timer = setTimeout(() => reject(new Error("no set-up address was printed")), LIMIT_S * 1_000);
  createInterface(child.stdout as NodeJS.ReadableStream).on("line", (line) => {
    const [, url] = /First set-up\s+(\S+)/.exec(line) ?? [];
    if (url !== undefined) resolve(url);
  });
  gone.then(() => reject(new Error("the hub ended before it was ready")), reject);
  return await promise.finally(() => clearTimeout(timer));
}

/** How long each part took. */
class Watch {
  readonly #beganAt = performance.now();
  #since = performance.now();
  readonly #parts: string[] = [];

  note(part: string): number {
    const tookS = Math.round((performance.now() - this.#since) / 100) / 10;
    this.#since = performance.now();
    this.#parts.push(`${part} ${tookS} s`);
    return tookS;
  }

  totalS(): number {
    return Math.round((performance.now() - this.#beganAt) / 1_000);
  }

  tell(context: TestContext): void {
    context.diagnostic(`${this.#parts.join(", ")}; in all ${this.totalS()} s`);
  }
}
