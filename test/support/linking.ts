import assert from "node:assert/strict";

/** Where a page of the hub leads, or what it says. */
export interface Seen {
  readonly status: number;
  readonly headers: Headers;
  readonly html: string;
  /** Outside of the hub, where the browser was sent in the end. */
  readonly outside: URL | undefined;
}

/** A browser without scripts: it keeps cookies by their paths, follows what leads on, and sends the forms of the page that it is on. */
export class Browser {
  readonly #base: string;
  readonly #origin: string;
  readonly #cookies = new Map<string, { readonly value: string; readonly path: string }>();
  #html = "";
  /** Of the last request that the browser made at the hub. */
  path = "";

  /** `origin` is what the hub calls itself. */
  constructor(base: string, origin: string) {
    this.#base = base;
    this.#origin = origin;
  }

  async open(path: string, headers: Record<string, string> = {}): Promise<Seen> {
    return await this.#go("GET", path, undefined, headers);
  }

  /** Sends the form that has this button, with what stands in its fields. */
  async send(step: string, fields: Record<string, string> = {}, headers: Record<string, string> = {}): Promise<Seen> {
    const forms = [...this.#html.matchAll(/<form method="post" action="([^"]+)">([\s\S]*?)<\/form>/g)];
    const form = forms.find(([, , inner]) => inner?.includes(`name="step" value="${step}"`));
    assert.ok(form, `there is no form to ${step}: ${this.#html}`);
    const hidden = [...(form[2] ?? "").matchAll(/type="hidden" name="([^"]+)" value="([^"]*)"/g)].map(([, name, value]) => [name, value]);
    const body = new URLSearchParams({ ...(Object.fromEntries(hidden) as Record<string, string>), ...fields, step });
    return await this.#go("POST", form[1] as string, body, { "sec-fetch-site": "same-origin", origin: "null", ...headers });
  }

  /** As somebody who copies the cookies of this browser. */
  copy(): Browser {
    const other = new Browser(this.#base, this.#origin);
    for (const [name, cookie] of this.#cookies) other.#cookies.set(name, cookie);
    other.#html = this.#html;
    other.path = this.path;
    return other;
  }

  async #go(method: string, path: string, body: URLSearchParams | undefined, headers: Record<string, string>): Promise<Seen> {
    this.path = path;
    const response = await fetch(this.#base + path, {
      method,
      redirect: "manual",
      headers: { ...headers, ...this.#cookieHeader(path) },
      ...(body === undefined ? {} : { body }),
    });
    this.#keep(response.headers.getSetCookie());
    const html = await response.text();
    const onward = response.headers.get("location") ?? /http-equiv="refresh" content="0; url=([^"]+)"/.exec(html)?.[1];
    if (onward === undefined || onward === null) {
      this.#html = html;
      return { status: response.status, headers: response.headers, html, outside: undefined };
    }
    const next = new URL(onward.replaceAll("&amp;", "&"), this.#origin);
    if (next.origin !== this.#origin) return { status: response.status, headers: response.headers, html, outside: next };
    return await this.#go("GET", next.pathname + next.search, undefined, {});
  }

  #cookieHeader(path: string): Record<string, string> {
    const pathname = path.split("?")[0] as string;
    const sent = [...this.#cookies].filter(
      ([, cookie]) => pathname === cookie.path || pathname.startsWith(cookie.path.replace(/\/?$/, "/")),
    );
    return sent.length === 0 ? {} : { cookie: sent.map(([name, { value }]) => `${name}=${value}`).join("; ") };
  }

  #keep(lines: readonly string[]): void {
    for (const text of lines) {
      const [pair = "", ...attributes] = text.split(";").map((part) => part.trim());
      const at = pair.indexOf("=");
      const path = attributes.find((one) => one.toLowerCase().startsWith("path="))?.slice(5) ?? "/";
      assert.ok(
        attributes.some((one) => one.toLowerCase() === "httponly"),
        text,
      );
      assert.ok(
        attributes.some((one) => one.toLowerCase() === "samesite=lax"),
        text,
      );
      assert.equal(this.#origin.startsWith("https:"), attributes.includes("secure"), text);
      if (attributes.some((one) => one.startsWith("expires=Thu, 01 Jan 1970"))) this.#cookies.delete(pair.slice(0, at));
      else this.#cookies.set(pair.slice(0, at), { value: pair.slice(at + 1), path });
    }
  }
}

export interface LinkedProgram {
  readonly id: string;
  readonly secret: string;
  readonly redirectUri: string;
}

export interface TokenAnswer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

/** The servers of a program, which come for tokens: with their secret in a header, or in the body. */
export class ProgramServer {
  readonly #base: string;
  readonly program: LinkedProgram;
  readonly #isInBody: boolean;

  constructor(base: string, program: LinkedProgram, { isInBody = false } = {}) {
    this.#base = base;
    this.program = program;
    this.#isInBody = isInBody;
  }

  /** Where the program sends its people, at the hub. */
  authorizePath(fields: Record<string, string> = {}): string {
    const { id, redirectUri } = this.program;
    const query = new URLSearchParams({ response_type: "code", client_id: id, redirect_uri: redirectUri, state: "s-1", ...fields });
    return `/oauth/authorize?${query.toString()}`;
  }

  redeem(code: string, fields: Record<string, string> = {}): Promise<TokenAnswer> {
    return this.#ask("/oauth/token", { grant_type: "authorization_code", code, redirect_uri: this.program.redirectUri, ...fields });
  }

  refresh(token: string, fields: Record<string, string> = {}): Promise<TokenAnswer> {
    return this.#ask("/oauth/token", { grant_type: "refresh_token", refresh_token: token, ...fields });
  }

  revoke(token: string): Promise<TokenAnswer> {
    return this.#ask("/oauth/revoke", { token });
  }

  async #ask(path: string, fields: Record<string, string>): Promise<TokenAnswer> {
    const { id, secret } = this.program;
    const inBody: Record<string, string> = this.#isInBody ? { client_id: id, client_secret: secret } : {};
    const basic = `Basic ${Buffer.from(`${id}:${secret}`).toString("base64")}`;
    const response = await fetch(this.#base + path, {
      method: "POST",
      headers: this.#isInBody ? {} : { authorization: basic },
      body: new URLSearchParams({ ...fields, ...inBody }),
    });
    const text = await response.text();
    return { status: response.status, body: text === "" ? {} : (JSON.parse(text) as Record<string, unknown>) };
  }
}
