import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from "node:tls";
import mqtt, { type IClientOptions, type MqttClient } from "mqtt";
import { makeRequest } from "../support/certificates.ts";
import type { TestHub } from "../support/hub.ts";
import { until } from "../support/wait.ts";

export type Device = Awaited<ReturnType<TestHub["api"]["addDevice"]>>;

/** CONNACK's code; 0 when the client was let in, "closed" when the connection ended without an answer. */
export async function answer(hub: TestHub, clientId: string, options: IClientOptions): Promise<number | "closed"> {
  try {
    const client = await open(hub, clientId, options);
    await client.endAsync(true);
    return 0;
  } catch (error) {
    return (error as { code?: unknown }).code === undefined || typeof (error as { code?: unknown }).code === "string"
      ? "closed"
      : ((error as { code: number }).code ?? -1);
  }
}

export async function open(hub: TestHub, clientId: string, options: IClientOptions): Promise<MqttClient> {
  const client = await mqtt.connectAsync(
    hub.mqtts,
    { clientId, reconnectPeriod: 0, connectTimeout: 5_000, ca: await readFile(hub.ca), protocolVersion: 5, ...options },
    false,
  );
  // What ends a session comes as an event, and without a listener as a fault of the test.
  client.on("error", () => undefined);
  return client;
}

/** Listens from now on; resolves when the session has ended. */
export function closed(client: MqttClient): Promise<unknown> {
  let isClosed = false;
  client.once("close", () => {
    isClosed = true;
  });
  return until(() => isClosed, { what: "the session to end" });
}

export const shown = ({ cert, key }: { cert: string; key: string }): IClientOptions => ({ cert, key });

export async function issue(hub: TestHub, device: Device): Promise<{ cert: string; key: string; id: string }> {
  const { csr, key } = await makeRequest();
  const { status, body } = await hub.api.call<{ certificate: string; credential_id: string }>(
    "POST",
    `/api/v1/devices/${device.uid}/certificates`,
    { csr },
  );
  assert.equal(status, 201);
  return { cert: body.certificate, key, id: body.credential_id };
}

async function tls(
  hub: TestHub,
  { session, ...options }: Omit<ConnectionOptions, "session"> & { readonly session?: Buffer | undefined },
): Promise<TLSSocket> {
  const { hostname: host, port } = new URL(hub.mqtts);
  const socket = connectTls({ host, port: Number(port), ca: await readFile(hub.ca), ...options, ...(session && { session }) });
  socket.on("error", () => undefined);
  return socket;
}

/** The ticket of a connection, for the next one; undefined when it ends without. */
export async function sessionOf(hub: TestHub, options: ConnectionOptions): Promise<Buffer | undefined> {
  const socket = await tls(hub, options);
  const session = await new Promise<Buffer | undefined>((resolve) => {
    socket.once("session", resolve).once("close", () => resolve(undefined));
  });
  socket.destroy();
  return session;
}

/** A bare MQTT 5 CONNECT over TLS: whether the session was resumed, and CONNACK's code. */
export async function connack(
  hub: TestHub,
  clientId: string,
  options: Omit<ConnectionOptions, "session"> & { readonly session?: Buffer | undefined },
): Promise<{ isResumed: boolean; code: number | "closed" }> {
  const socket = await tls(hub, options);
  let isResumed = false;
  socket.once("secureConnect", () => {
    isResumed = socket.isSessionReused();
  });
  const id = Buffer.from(clientId);
  const head = Buffer.from([0, 4, ...Buffer.from("MQTT"), 5, 2, 0, 60, 0, 0, id.length]);
  socket.write(Buffer.concat([Buffer.from([0x10, head.length + id.length]), head, id]));
  const code = await Promise.race([
    new Promise<number>((resolve) => socket.once("data", (bytes: Buffer) => resolve(bytes[3] as number))),
    new Promise<"closed">((resolve) => socket.once("close", () => resolve("closed"))),
  ]);
  socket.destroy();
  return { isResumed, code };
}
