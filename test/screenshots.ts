import { execFileSync } from "node:child_process";
import { mkdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import type { Page } from "playwright-core";
import { type TestConsole, startConsole } from "./support/console.ts";
import { type FurnishedHome, furnishHome } from "./support/furnished-home.ts";
import { startHookReceiver } from "./support/hook-receiver.ts";
import { chromiumMissing } from "./support/services.ts";

const ROOT = path.join(import.meta.dirname, "..");
const FOLDER = path.join(ROOT, "docs/screenshots");
const SCHEMES = ["light", "dark"] as const;
const DESK = { width: 1440, height: 900 };
const PHONE = { width: 390, height: 844 };
const QUALITY = 0.6;
const ENV = {
  // Somebody who takes webhooks, and who looks for HomeKit's bridges, is on this machine.
  HEXA_OUTBOUND_ALLOW: "127.0.0.1/32",
  HEXA_HOMEKIT: "on",
  HEXA_HOMEKIT_ANNOUNCE: "127.0.0.1",
};

const missing = chromiumMissing();
if (missing === undefined) await takeAll();
else {
  process.stderr.write(`${missing}\n`);
  process.exitCode = 1;
}

/** Every page of the console, with things in it, into docs/screenshots. */
async function takeAll(): Promise<void> {
  execFileSync(process.execPath, [path.join(ROOT, "api/admin/build.ts")], { stdio: "inherit" });
  await using receiver = await startHookReceiver();
  await using console = await startConsole({ env: ENV });
  const pages = Object.entries(pathsIn(await furnishHome(console.hub, receiver.url)));
  await rm(FOLDER, { recursive: true, force: true });
  await mkdir(FOLDER);
  const sizes = await Promise.all(SCHEMES.map((scheme) => takeIn(console, scheme, pages)));
  const bytes = sizes.flat();
  const sum = bytes.reduce((all, one) => all + one, 0);
  process.stdout.write(
    `${bytes.length} pictures, ${Math.round(sum / 1_000)} KB, the largest ${Math.round(Math.max(...bytes) / 1_000)} KB\n`,
  );
}

/** The address of each page, by the name of its pictures. */
function pathsIn(home: FurnishedHome): Readonly<Record<string, string>> {
  return {
    overview: "/dashboard",
    devices: "/devices",
    "add-device": "/devices/new",
    device: `/devices/${home.meter}?key=power`,
    readings: `/readings?series=${home.climate}:temperature,${home.climate}:humidity&range=24h`,
    automations: "/automations",
    "new-automation": "/automations/new",
    automation: `/automations/${home.automation}`,
    "automation-runs": `/automations/${home.automation}?tab=runs`,
    schedules: "/schedules",
    schedule: `/schedules/${home.schedule}`,
    scenes: "/scenes",
    alerts: "/alerts",
    alert: `/alerts/${home.alert}`,
    "alert-rules": "/alerts/rules",
    "alert-rule": `/alerts/rules/${home.alertRule}`,
    tasks: "/tasks",
    approvals: "/tasks/inbox",
    task: `/tasks/${home.task}`,
    templates: "/templates",
    template: `/templates/${home.template}`,
    events: "/events",
    event: `/events/${home.event}`,
    mqtt: "/mqtt",
    "home-assistant": "/home-assistant",
    homekit: "/homekit",
    alexa: "/alexa",
    webhooks: "/webhooks",
    webhook: `/webhooks/${home.webhook}`,
    people: "/people",
    account: "/account",
    audit: "/audit",
    settings: "/settings",
    about: "/about",
  };
}

async function takeIn(console: TestConsole, scheme: "light" | "dark", pages: readonly (readonly [string, string])[]): Promise<number[]> {
  await using visit = await console.open("/about", { scheme, ...DESK });
  const { page } = visit;
  await using studio = await console.browser.visit();
  const sizes: number[] = [];
  for (const [name, at] of [...pages, ["log-in", "/auth/login"] as const]) {
    if (name === "log-in") await page.context().clearCookies();
    await page.setViewportSize(DESK);
    await page.goto(console.hub.http + at);
    await settled(page);
    // Messages come when the broker has taken the subscription, and no sooner.
    if (name === "mqtt") await page.getByText("Nothing came yet").waitFor({ state: "detached" });
    for (const size of [DESK, PHONE]) {
      await page.setViewportSize(size);
      await settled(page);
      const picture = await toWebp(studio.page, await page.screenshot({ animations: "disabled" }));
      await writeFile(path.join(FOLDER, `${name}-${scheme}-${size.width}.webp`), picture);
      sizes.push(picture.length);
    }
  }
  await page.goto("about:blank");
  // Pictures are no test: pages were left while they asked, and nobody was logged in at the end.
  while (visit.faults.length > 0) visit.takeFault(/./);
  return sizes;
}

/** Nothing is waited for any more, and what the size of the window moves has moved. */
async function settled(page: Page): Promise<void> {
  await page.getByRole("heading", { level: 1 }).waitFor();
  await page.locator("[aria-busy=true]").first().waitFor({ state: "detached" });
  await page.evaluate(`Promise.allSettled(document.getAnimations()
    .filter(({ effect }) => Number.isFinite(effect.getComputedTiming().endTime)).map(({ finished }) => finished))`);
  await page.evaluate("new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))");
}

/** Chromium takes pictures as PNG, but a canvas of it knows WebP, which takes less. */
async function toWebp(studio: Page, png: Buffer): Promise<Buffer> {
  const made = await studio.evaluate<string>(`(async () => {
    const bytes = Uint8Array.fromBase64("${png.toString("base64")}");
    const picture = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
    const canvas = new OffscreenCanvas(picture.width, picture.height);
    canvas.getContext("2d").drawImage(picture, 0, 0);
    const blob = await canvas.convertToBlob({ type: "image/webp", quality: ${QUALITY} });
    return new Uint8Array(await blob.arrayBuffer()).toBase64();
  })()`);
  return Buffer.from(made, "base64");
}
