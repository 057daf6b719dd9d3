import { JsonLink, type JsonMessage, Refused } from "./json-link.ts";

const WAIT_S = 20;
const REQUEST_MS = 30_000;

/** Where what the device says goes to; what has no place there a device that polls cannot say. */
const PLACES: Readonly<Record<string, string>> = {
  register: "/api/v1/devices/register",
  state_report: "/api/v1/devices/state-report",
  task_result: "/api/v1/devices/task-result",
  telemetry: "/api/v1/devices/sensor-report",
};

/** Requests over HTTP: it asks what there is to do, again and again. */
export class PollLink extends JsonLink {
  #stopping = new AbortController();

  protected open(): void {
    if (this.isEnded) return;
    this.#stopping = new AbortController();
    this.#poll().then(
      () => this.lost(),
      (error: unknown) => this.lost(this.#stopping.signal.aborted ? undefined : (error as Error)),
    );
  }

  protected async say(type: string, payload: Readonly<Record<string, unknown>>): Promise<void> {
    // The polls say it.
    if (type === "heartbeat") return;
    const { command_id: id, ...answer } = payload;
    const place = type === "ack" ? `/api/v1/commands/${String(id)}/result` : PLACES[type];
    if (place === undefined) throw new Error(`a device that polls cannot say ${type}`);
    await this.#ask("POST", place, type === "ack" ? answer : payload);
  }

  protected cut(): void {
    this.#stopping.abort();
  }

  /** The first answer says that the hub has let the device in. */
  async #poll(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      const { data } = await this.#ask<{ data: JsonMessage[] }>("GET", `/api/v1/commands/pending?wait=${this.connected ? WAIT_S : 0}`);
      if (this.#stopping.signal.aborted) return;
      if (!this.connected) this.up();
      for (const message of data) this.heard(message);
    }
  }

  async #ask<T>(method: string, path: string, body?: object): Promise<T> {
    const { url, uid, password } = this.options;
    const response = await fetch(new URL(path, url), {
      method,
      headers: {
        "x-device-uid": uid,
        "x-device-token": password,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(REQUEST_MS)]),
    });
    const answer = (await response.json()) as T & { readonly code: string; readonly message: string };
    if (response.ok) return answer;
    if (method === "POST" && response.status < 500) throw new Refused(answer.code, answer.message);
    throw new Error(`${method} ${path} was answered ${response.status}: ${answer.message}`);
  }
}
