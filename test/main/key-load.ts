import mqtt from "mqtt";
import { ADMIN, type Answer, ApiClient, type TestHub } from "../support/hub.ts";
import { until } from "../support/wait.ts";

export interface KeyLoad extends AsyncDisposable {
  /** How often each kind of request was answered as it should be. */
  readonly counts: ReadonlyMap<string, number>;
  /** What was answered otherwise. */
  readonly failures: readonly string[];
  /** Resolves when every kind was asked so many times more. */
  more(times: number): Promise<void>;
}

interface Login {
  readonly access_token: string;
  readonly refresh_token: string;
}

const MAX_FAILURES = 20;

/**
 * Whatever depends on a signing key, without a pause, at one hub after the other: log-ins and what they give, refreshes,
 * cookies, repetitions, and MQTT by the JWTs and tokens of people, machines and devices, those made before and those made now.
 */
export async function startKeyLoad(hubs: readonly TestHub[]): Promise<KeyLoad> {
  const counts = new Map<string, number>();
  const failures: string[] = [];
  const stop = new AbortController();
  const hubOf = (round: number): TestHub => hubs[round % hubs.length] as TestHub;
  const first = hubOf(0);

  async function repeat(name: string, work: (round: number) => Promise<unknown>): Promise<void> {
    counts.set(name, 0);
    for (let round = 0; !stop.signal.aborted && failures.length < MAX_FAILURES; round++) {
      try {
        await work(round);
        counts.set(name, (counts.get(name) ?? 0) + 1);
      } catch (error) {
        failures.push(`${name}: ${String(error)}`);
      }
    }
  }

  const old = await login(first);
  const { token: personal } = await tokenOf(first, "personal", "script");
  const { token: service } = await tokenOf(first, "service", "machine");
  const cookie = await cookieOf(first);
  const [byJwt, byToken, overHttp] = [await enrol(first), await enrol(first), await enrol(first)];
  let { refresh_token: refreshToken } = await login(first);
  const repeated = { name: "Repeated", device_class: "ir_hub" };
  const firstAnswer = await enrol(first, repeated, { "idempotency-key": "over-all-keys" });

  const loads = [
    repeat("a log-in, and its token at the other hub", async (round) => {
      const { access_token } = await login(hubOf(round));
      await me(hubOf(round + 1), access_token);
      await logout(hubOf(round), access_token);
    }),
    repeat("a refresh, and its token at the other hub", async (round) => {
      const { body } = expect(await bare(hubOf(round)).call<Login>("POST", "/api/v1/auth/refresh", { refresh_token: refreshToken }), 200);
      refreshToken = body.refresh_token;
      await me(hubOf(round + 1), body.access_token);
    }),
    repeat("requests by what was made before", async (round) => {
      for (const token of [old.access_token, personal, service]) await me(hubOf(round), token);
      expect(await bare(hubOf(round)).call("GET", "/api/v1/auth/me", undefined, { cookie }), 200);
    }),
    repeat("requests by a token made now", async (round) => {
      const { id, token } = await tokenOf(hubOf(round), "personal", "brief");
      await me(hubOf(round + 1), token);
      expect(await hubOf(round + 1).api.call("DELETE", `/api/v1/access-tokens/${id}`), 204);
    }),
    repeat("a repetition", async (round) => {
      const again = await enrol(hubOf(round), repeated, { "idempotency-key": "over-all-keys" });
      if (again.device_uid !== firstAnswer.device_uid) throw new Error("another device was enrolled");
    }),
    repeat("MQTT by people's JWT", async (round) => {
      await connect(hubOf(round), { username: ADMIN.email, password: old.access_token, clientId: "by-old-jwt" });
      const { access_token: password } = await login(hubOf(round));
      await connect(hubOf(round + 1), { username: ADMIN.email, password, clientId: "by-new-jwt" });
      await logout(hubOf(round), password);
    }),
    repeat("MQTT by a machine's token", (round) =>
      connect(hubOf(round), { username: "machine", password: service, clientId: "by-service-token" }),
    ),
    repeat("MQTT by a device's JWT", async (round) => {
      await connect(hubOf(round), { username: byJwt.device_uid, password: byJwt.device_jwt, clientId: byJwt.device_uid });
      const now = await enrol(hubOf(round));
      await connect(hubOf(round + 1), { username: now.device_uid, password: now.device_jwt, clientId: now.device_uid });
      await connect(hubOf(round + 1), { username: now.device_uid, password: now.device_token, clientId: now.device_uid });
    }),
    repeat("MQTT by a device's token", (round) =>
      connect(hubOf(round), { username: byToken.device_uid, password: byToken.device_token, clientId: byToken.device_uid }),
    ),
    repeat("a device's report over HTTP", async (round) => {
      for (const secret of [overHttp.device_jwt, overHttp.device_token]) {
        const headers = { "x-device-uid": overHttp.device_uid, "x-device-token": secret };
        expect(await bare(hubOf(round)).call("POST", "/api/v1/devices/sensor-report", { values: { t: round } }, headers), 202);
      }
    }),
  ];
  return {
    counts,
    failures,
    async more(times) {
      const before = new Map(counts);
      await until(() => failures.length > 0 || [...counts].every(([name, count]) => count >= (before.get(name) ?? 0) + times), {
        what: `${times} more of every kind`,
        timeoutMs: 30_000,
      });
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await Promise.all(loads);
    },
  };
}

interface Enrolled {
  readonly device_uid: string;
  readonly device_token: string;
  readonly device_jwt: string;
}

function expect<T>(answer: Answer<T>, status: number): Answer<T> {
  if (answer.status !== status) throw new Error(`${answer.status} ${JSON.stringify(answer.body)}`);
  return answer;
}

const bare = (hub: TestHub): ApiClient => new ApiClient(hub.http);

function withToken(hub: TestHub, token: string): ApiClient {
  return Object.assign(bare(hub), { token });
}

async function me(hub: TestHub, token: string): Promise<void> {
  expect(await withToken(hub, token).call("GET", "/api/v1/auth/me"), 200);
}

async function login(hub: TestHub): Promise<Login> {
  return expect(await bare(hub).call<Login>("POST", "/api/v1/auth/login", { ...ADMIN }), 200).body;
}

/** Of more than a hundred at a time the oldest would end. */
async function logout(hub: TestHub, token: string): Promise<void> {
  expect(await withToken(hub, token).call("POST", "/api/v1/auth/logout"), 204);
}

async function cookieOf(hub: TestHub): Promise<string> {
  const { headers } = expect(await bare(hub).call("POST", "/api/v1/auth/login", { ...ADMIN, cookie: true, remember_me: true }), 200);
  return (headers.get("set-cookie") ?? "").split(";")[0] as string;
}

interface Made {
  readonly id: string;
  readonly token: string;
}

async function tokenOf(hub: TestHub, kind: "personal" | "service", name: string): Promise<Made> {
  return expect(await hub.api.call<Made>("POST", "/api/v1/access-tokens", { kind, name }), 201).body;
}

async function enrol(
  hub: TestHub,
  device: object = { name: "Enrolled", device_class: "ir_hub" },
  headers: Record<string, string> = {},
): Promise<Enrolled> {
  return expect(await hub.api.call<Enrolled>("POST", "/api/v1/devices", device, headers), 201).body;
}

async function connect(hub: TestHub, options: { username: string; password: string; clientId: string }): Promise<void> {
  const client = await mqtt.connectAsync(hub.mqtt, { ...options, protocolVersion: 5, reconnectPeriod: 0 });
  await client.endAsync();
}
