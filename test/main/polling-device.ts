import assert from "node:assert/strict";
import type { TestHub } from "../support/hub.ts";

export type Given = Readonly<Record<string, unknown>> & { readonly type: string; readonly command_id?: string };
type Device = { readonly uid: string; readonly token: string };

/** The requests of a device over HTTP. */
export function polling(hub: Pick<TestHub, "http">, { uid, token }: Device) {
  const ask = async (method: string, path: string, body?: object): Promise<{ status: number; body: unknown }> => {
    const response = await fetch(new URL(path, hub.http), {
      method,
      headers: { "x-device-uid": uid, "x-device-token": token, ...(body ? { "content-type": "application/json" } : {}) },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
    return { status: response.status, body: await response.json() };
  };
  return {
    ask,
    poll: async (wait = 0): Promise<Given[]> => {
      const { status, body } = await ask("GET", `/api/v1/commands/pending?wait=${wait}`);
      assert.equal(status, 200, JSON.stringify(body));
      return (body as { data: Given[] }).data;
    },
    answer: async (commandId: string, body: object = { status: "ok", state: "ON" }): Promise<number> =>
      (await ask("POST", `/api/v1/commands/${commandId}/result`, body)).status,
  };
}
