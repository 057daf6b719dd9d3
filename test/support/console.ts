import assert from "node:assert/strict";
import { AxeBuilder } from "@axe-core/playwright";
import type { Locator, Page } from "playwright-core";
import { startBrowser, type TestBrowser, type Visit, type VisitOptions } from "./browser.ts";
import { ADMIN, type HubOptions, startHub, type TestHub } from "./hub.ts";

/** A real hub, and somebody who looks at its console. */
export interface TestConsole extends AsyncDisposable {
  readonly hub: TestHub;
  readonly browser: TestBrowser;
  /** A window of the administrator, or somebody else, who is logged in; at the hub itself unless `path` is a whole URL. */
  open(path: string, options?: WindowOptions): Promise<Visit>;
}

export interface WindowOptions extends VisitOptions {
  /** Instead of the administrator. */
  readonly as?: { readonly email: string; readonly password: string };
  /** `en-XA`: every text is another one, so that none is forgotten. */
  readonly language?: "en" | "de" | "fr" | "es" | "en-XA";
  readonly scheme?: "light" | "dark";
  /** What the hub has begun to answer before the window is given. */
  readonly answered?: RegExp;
}

/** Events come to the page. */
export const LISTENING = { answered: /\/api\/v1\/live/ };

const DESK = { width: 1280, height: 800 };

export async function startConsole(options: HubOptions = {}): Promise<TestConsole> {
  await using stack = new AsyncDisposableStack();
  const hub = stack.use(await startHub(options));
  await hub.api.login();
  const browser = stack.use(await startBrowser());
  const running = stack.move();
  return {
    hub,
    browser,
    async open(path, { language = "en", scheme = "light", as = ADMIN, answered, ...size } = {}) {
      const visit = await browser.visit({ ...DESK, ...size });
      const { page } = visit;
      const login = await page.request.post(`${hub.http}/api/v1/auth/login`, { data: { ...as, cookie: true } });
      assert.equal(login.status(), 200);
      await setAppearance(page, language, scheme);
      const answer = answered && page.waitForResponse(answered);
      await page.goto(new URL(path, hub.http).href);
      await answer;
      return visit;
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/** As it is kept in the browser. */
async function setAppearance(page: Page, language: string, scheme: string): Promise<void> {
  await page.addInitScript(
    `localStorage.setItem("language", "${language}"); localStorage.setItem("mantine-color-scheme-value", "${scheme}")`,
  );
}

/** As long as a removal can be taken back (api/admin/src/hub/held.ts). */
export const HELD_MS = 10_000;

/** Clicks what removes something unless it is taken back, and lets the time for that pass. */
export async function clickForGood(button: Locator): Promise<void> {
  const page = button.page();
  await button.waitFor();
  await page.clock.install();
  await button.click();
  await page.clock.fastForward(HELD_MS);
}

/** By the rules of WCAG 2.2 AA that a program can check. */
export async function assertAccessible(page: Page): Promise<void> {
  const { violations } = await new AxeBuilder({ page })
    .withTags(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"])
    .analyze();
  assert.deepEqual(
    violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 160)).join(" ; ")}`),
    [],
  );
}

/**
 * Nothing that a program can find is wrong with the page: dark, in German, on a small phone; in a soak also light, in English, on a
 * desk, and with texts that are longer than any. `until` resolves when it is there.
 */
export async function assertPageHolds(console: TestConsole, path: string, until: (page: Page) => Promise<unknown>): Promise<void> {
  for (const { language, scheme, ...size } of process.env["SOAK_MINUTES"] === undefined ? LOOKS.slice(0, 1) : LOOKS) {
    await using visit = await console.open(path, { language, scheme, ...size });
    await until(visit.page);
    await assertAccessible(visit.page);
    await visit.assertFits();
  }
}

const LOOKS = [
  { language: "de", scheme: "dark", width: 320, height: 640 },
  { language: "en", scheme: "light" },
  { language: "en-XA", scheme: "light", width: 320, height: 640 },
] as const;
