import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { stat } from "node:fs/promises";
import path from "node:path";
import type { Page } from "playwright-core";
import { startConsole, type TestConsole } from "../support/console.ts";
import { chromiumMissing } from "../support/services.ts";
import { median, type Row } from "./report.ts";
import type { Plan } from "./stage.ts";

const BUILT = path.join(import.meta.dirname, "../../api/admin/dist");
const WINDOW = { width: 1440, height: 900 };
const KB = 1_000;
const SERIES = 8;
const POINTS = 3_600;
const UPDATES = 20;
/** So long a chart of a value each second stays as it is, about. */
const STEP_MS = 1_100;
const DEVICES = 2_000;
const AT_ONCE = 20;
const WHEELS = 150;
const WHEEL_PX = 700;
const LOOK_MS = 50;
const CPU_SLOW_DOWN = 4;
const LCP_WAIT_MS = 3_000;

/** The console in a real Chromium, as it was built. */
export async function measureConsole({ runs }: Plan): Promise<Row[]> {
  const missing = chromiumMissing();
  if (missing !== undefined) {
    process.stderr.write(`${missing}: not measured\n`);
    return [];
  }
  execFileSync(process.execPath, [fileURLToPath(new URL("../../api/admin/build.ts", import.meta.url))], { stdio: "inherit" });
  await using console = await startConsole();
  const { uid } = await console.hub.api.addDevice({ name: "Bench", device_class: "sensor_hub" });
  return [
    ...(await sizes(console, uid)),
    { name: `LCP of /dashboard, CPU ${CPU_SLOW_DOWN}× slower`, unit: "ms", hub: await paint(console, runs), goal: { atMost: 2_000 } },
    ...(await chart(console, uid)),
    ...(await list(console)),
  ];
}

/** What a browser fetches for the first page, and how much more each other page takes; gzipped. */
async function sizes(console: TestConsole, uid: string): Promise<Row[]> {
  const { files: first, links } = await fetched(console, "/dashboard");
  const initial = await bytesOf(first);
  let largest = { path: "", bytes: 0 };
  for (const link of new Set([...links, "/devices/new", `/devices/${uid}`])) {
    const { files } = await fetched(console, link);
    const bytes = await bytesOf([...files].filter((file) => !first.has(file)));
    if (bytes > largest.bytes) largest = { path: link.replace(uid, ":id"), bytes };
  }
  return [
    { name: "JS and CSS of /dashboard, gzipped", unit: "KB", hub: initial / KB, goal: { atMost: 300 } },
    { name: `  the most that another page adds (${largest.path})`, unit: "KB", hub: largest.bytes / KB, goal: { atMost: 80 } },
  ];
}

async function fetched(console: TestConsole, at: string): Promise<{ readonly files: ReadonlySet<string>; readonly links: string[] }> {
  await using visit = await console.open(at, WINDOW);
  const { page } = visit;
  await page.getByRole("heading", { level: 1 }).waitFor();
  await page.waitForLoadState("load");
  const names = await page.evaluate<string[]>('performance.getEntriesByType("resource").map(({ name }) => new URL(name).pathname)');
  const links = await page.evaluate<string[]>('[...document.querySelectorAll("nav a")].map((link) => link.getAttribute("href"))');
  return { files: new Set(names.filter((name) => /\.(?:js|css)$/.test(name))), links };
}

async function bytesOf(files: Iterable<string>): Promise<number> {
  // What is too small to be worth it is not compressed.
  const each = [...files].map(async (file) => (await stat(path.join(BUILT, `${file}.gz`)).catch(() => stat(path.join(BUILT, file)))).size);
  return (await Promise.all(each)).reduce((sum, size) => sum + size, 0);
}

async function paint(console: TestConsole, runs: number): Promise<number | undefined> {
  const times: number[] = [];
  for (let run = 0; run < runs; run++) {
    await using visit = await console.open("/auth/login", WINDOW);
    const { page } = visit;
    await page.getByRole("heading", { level: 1 }).waitFor();
    await page.waitForLoadState("networkidle");
    const devtools = await page.context().newCDPSession(page);
    await devtools.send("Network.clearBrowserCache");
    await devtools.send("Emulation.setCPUThrottlingRate", { rate: CPU_SLOW_DOWN });
    await page.goto(`${console.hub.http}/dashboard`);
    await page.getByRole("heading", { level: 1 }).waitFor();
    await page.waitForTimeout(LCP_WAIT_MS);
    times.push(await page.evaluate<number>(LARGEST_PAINT));
  }
  return median(times);
}

const LARGEST_PAINT = `new Promise((resolve) => new PerformanceObserver((list) => resolve(list.getEntries().at(-1).startTime))
  .observe({ type: "largest-contentful-paint", buffered: true }))`;

/** From new data to pixels, as the chart measures it itself. */
async function chart(console: TestConsole, uid: string): Promise<Row[]> {
  const keys = Array.from({ length: SERIES }, (_, index) => `bench_${index}`);
  const now = Date.now();
  const lines = keys.flatMap((key, index) =>
    Array.from({ length: POINTS }, (_, at) => `${uid},${key},${now - at * 1_000},${index + Math.sin(at / 50)}`),
  );
  await sendReadings(console, `device,key,ts,value\n${lines.join("\n")}\n`);
  await using visit = await console.open(`/readings?range=1h&bucket=1s&series=${keys.map((key) => `${uid}:${key}`).join(",")}`, WINDOW);
  const { page } = visit;
  await page.locator(".line-chart canvas").waitFor();
  await page.waitForTimeout(STEP_MS);
  await page.evaluate(
    'globalThis.drawn = []; new PerformanceObserver((list) => drawn.push(...list.getEntriesByName("line-chart").map((one) => one.duration))).observe({ type: "measure" })',
  );
  for (let update = 0; update < UPDATES; update++) {
    // As when somebody comes back to the tab: what is shown is asked for anew.
    await page.evaluate('globalThis.dispatchEvent(new Event("visibilitychange"))');
    await page.waitForTimeout(STEP_MS);
  }
  const drawn = await page.evaluate<number[]>("drawn");
  return [
    {
      name: `chart of ${SERIES} series of ${POINTS} points drawn anew, median of ${drawn.length}`,
      unit: "ms",
      hub: median(drawn),
      goal: { atMost: 10 },
    },
    { name: "  the slowest", unit: "ms", hub: drawn.length === 0 ? undefined : Math.max(...drawn) },
  ];
}

async function sendReadings({ hub }: TestConsole, csv: string): Promise<void> {
  const answer = await fetch(`${hub.http}/api/v1/readings/import`, {
    method: "POST",
    headers: { authorization: `Bearer ${hub.api.token}`, "content-type": "text/csv" },
    body: csv,
  });
  if (answer.status !== 200) throw new Error(`the import answered ${answer.status}: ${await answer.text()}`);
}

/** All of them in the list, and somebody who scrolls through it. */
async function list(console: TestConsole): Promise<Row[]> {
  for (let made = 0; made < DEVICES; made += AT_ONCE)
    await Promise.all(Array.from({ length: AT_ONCE }, (_, at) => console.hub.api.addDevice({ name: `Device ${made + at}` })));
  await using visit = await console.open("/devices", WINDOW);
  const { page } = visit;
  await page.getByRole("table").waitFor();
  await watchTasks(page);
  // The next ones are asked for near the end of those that are there.
  const all = page.getByText(`${DEVICES + 1} devices shown`);
  while ((await all.count()) === 0) {
    await page.evaluate("scrollTo(0, document.documentElement.scrollHeight)");
    await page.waitForTimeout(LOOK_MS);
  }
  const loading = await longestTask(page);
  await page.mouse.move(WINDOW.width / 2, WINDOW.height / 2);
  await page.evaluate("scrollTo(0, 0)");
  await watchTasks(page);
  for (let wheel = 0; wheel < WHEELS; wheel++) await page.mouse.wheel(0, WHEEL_PX);
  const scrolling = await longestTask(page);
  return [
    { name: `longest task while ${DEVICES} rows of devices scroll`, unit: "ms", hub: scrolling, goal: { atMost: 100 } },
    { name: "  while the last of them are fetched", unit: "ms", hub: loading, goal: { atMost: 100 } },
  ];
}

/** Tasks of less than 50 ms are told of by no browser: 0 stands for them. */
async function watchTasks(page: Page): Promise<void> {
  await page.evaluate(`globalThis.tasks = [];
    globalThis.observer?.disconnect();
    globalThis.observer = new PerformanceObserver((list) => tasks.push(...list.getEntries().map((one) => one.duration)));
    observer.observe({ type: "longtask" })`);
}

async function longestTask(page: Page): Promise<number> {
  // The observer is told of a task when the next one is over.
  await page.waitForTimeout(STEP_MS);
  return page.evaluate<number>("Math.max(0, ...tasks)");
}
