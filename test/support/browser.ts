import assert from "node:assert/strict";
import { type BrowserContext, chromium, type Page } from "playwright-core";
import { chromiumMissing, findProgram } from "./services.ts";

export interface BrowserOptions {
  /** Local ports of servers on 127.0.0.1, by the names under which pages know them. Other names are known to nobody. */
  readonly hosts?: Readonly<Record<string, number>>;
}

export interface VisitOptions {
  /** Of the window; a small phone's unless it is said. */
  readonly width?: number;
  readonly height?: number;
  /** The site's service worker runs too. */
  readonly withWorker?: boolean;
  readonly locale?: string;
  readonly timeZone?: string;
}

/** A real Chromium: one for a test file, and a visit for each test. */
export interface TestBrowser extends AsyncDisposable {
  /** As somebody who was never there before: without cookies, storage or cache. */
  visit(options?: VisitOptions): Promise<Visit>;
}

const SMALL_PHONE = { width: 320, height: 568 };
const STEP_LIMIT_MS = 10_000;
const MOST_TABS = 50;
/** What the browser's driver says of its own doing. */
const OF_DRIVER = /Service Worker registration blocked/;

export async function startBrowser({ hosts = {} }: BrowserOptions = {}): Promise<TestBrowser> {
  const mapped = Object.entries(hosts).map(([name, port]) => `MAP ${name} 127.0.0.1:${port}`);
  // What a browser asks its maker in the background gets nowhere either.
  const rules = [...mapped, "MAP * ~NOTFOUND", "EXCLUDE 127.0.0.1", "EXCLUDE localhost"].join(", ");
  const browser = await chromium.launch({
    executablePath: findProgram("chromium") ?? assert.fail(chromiumMissing()),
    args: ["--headless=new", "--no-sandbox", `--host-resolver-rules=${rules}`],
  });
  return {
    async visit({ withWorker = false, locale, timeZone, ...viewport } = {}) {
      const place = { ...(locale && { locale }), ...(timeZone && { timezoneId: timeZone }) };
      const context = await browser.newContext({
        viewport: { ...SMALL_PHONE, ...viewport },
        ...place,
        // The certificates of servers in the tests are nobody's.
        ignoreHTTPSErrors: true,
        serviceWorkers: withWorker ? "allow" : "block",
      });
      context.setDefaultTimeout(STEP_LIMIT_MS);
      return new Visit(context, await context.newPage());
    },
    [Symbol.asyncDispose]: () => browser.close(),
  };
}

/** One person's window. When it is closed, whatever went wrong in it that the test did not speak of fails the test. */
export class Visit implements AsyncDisposable {
  readonly page: Page;
  readonly #context: BrowserContext;
  #faults: string[] = [];

  constructor(context: BrowserContext, page: Page) {
    this.#context = context;
    this.page = page;
    // Violations of a page's content security policy are errors of the console as well.
    context.on("console", (message) => {
      if ((message.type() === "error" || message.type() === "warning") && !OF_DRIVER.test(message.text()))
        this.#faults.push(`${message.type()}: ${message.text()} (${message.location().url})`);
    });
    context.on("weberror", (error) => this.#faults.push(`thrown: ${error.error().message}`));
    context.on("requestfailed", (request) => {
      const reason = request.failure()?.errorText;
      // The page itself takes a question back when nobody waits for its answer any more.
      if (reason !== "net::ERR_ABORTED" || request.method() !== "GET") this.#faults.push(`failed: ${request.url()} ${reason}`);
    });
  }

  /** What went wrong so far: errors and warnings of the console, what scripts threw, requests without an answer. */
  get faults(): readonly string[] {
    return this.#faults;
  }

  /** Fails unless such a thing went wrong; it is then no fault any more. */
  takeFault(pattern: RegExp): void {
    const at = this.#faults.findIndex((fault) => pattern.test(fault));
    assert.notEqual(at, -1, `nothing like ${pattern} went wrong, but: ${this.#faults.join("; ") || "nothing"}`);
    this.#faults.splice(at, 1);
  }

  /** Nothing on the page is wider than the window. */
  async assertFits(): Promise<void> {
    // As text: the hub's own types know of no browser.
    const [content = 0, window = 0] = await this.page.evaluate<number[]>(
      "[document.documentElement.scrollWidth, document.documentElement.clientWidth]",
    );
    assert.ok(content <= window, `${this.page.url()} is ${content} px wide in a window of ${window} px`);
  }

  /**
   * Goes on with the Tab key until the element with the focus has this role and name, as assistive technology is told them, and is seen to
   * have it.
   */
  async tabTo(role: "button" | "link" | "radio" | "textbox", name: string): Promise<void> {
    const focused = this.page.getByRole(role, { name, exact: true }).and(this.page.locator(":focus"));
    for (let presses = 0; presses < MOST_TABS; presses++) {
      await this.page.keyboard.press("Tab");
      if ((await focused.count()) === 0) continue;
      const outline = await this.page.evaluate<string>("getComputedStyle(document.activeElement).outlineStyle");
      assert.notEqual(outline, "none", `it cannot be seen that the ${role} "${name}" has the focus`);
      return;
    }
    assert.fail(`the ${role} "${name}" is not reached with ${MOST_TABS} presses of Tab`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#context.close();
    assert.deepEqual(this.#faults, []);
  }
}
