import assert from "node:assert/strict";
import { createHmac, generateKeyPairSync, randomBytes, randomUUID } from "node:crypto";
import { after, before, describe, test } from "node:test";
import jwt from "jsonwebtoken";
import mqtt from "mqtt";
import type { Log } from "../../core/bus.ts";
import { startHub, type TestHub } from "../support/hub.ts";

const part = (value: unknown): string => Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** Headers that name another algorithm, or a key of the forger's own. */
function forgedHeaders(good: string): Record<string, string> {
  const [head = "", body = "", signature = ""] = good.split(".");
  const header = JSON.parse(Buffer.from(head, "base64url").toString()) as Record<string, unknown>;
  const claims = JSON.parse(Buffer.from(body, "base64url").toString()) as Record<string, unknown>;
  const { kid } = header as { kid: string };
  const ec = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const own = randomBytes(32);
  const jwk = { kty: "oct", k: own.toString("base64url"), kid };
  const mine = (extra: object): string => {
    const text = `${part({ ...header, ...extra })}.${body}`;
    return `${text}.${createHmac("sha256", own).update(text).digest("base64url")}`;
  };
  const kept = (changed: object): string => `${part({ ...header, ...changed })}.${body}.${signature}`;
  return {
    "ES256 of a key of its own": jwt.sign(claims, ec.privateKey, { algorithm: "ES256", keyid: kid }),
    "PS256 of a key of its own": jwt.sign(claims, rsa.privateKey, { algorithm: "PS256", keyid: kid }),
    HS384: jwt.sign(claims, "x".repeat(48), { algorithm: "HS384", keyid: kid }),
    "a key of its own in jwk": mine({ jwk }),
    "a key of its own by jku": mine({ jku: "http://127.0.0.1:1/keys.json" }),
    "a key of its own by x5u": mine({ x5u: "http://127.0.0.1:1/key.pem" }),
    "a certificate of its own in x5c": mine({ x5c: ["MIIB"] }),
    "an extension that has to be understood": mine({ crit: ["exp"] }),
    "no kid": mine({ kid: undefined }),
    "a kid of null": kept({ kid: null }),
    "a kid that is a number": kept({ kid: 1 }),
    "a kid that is a list": kept({ kid: [kid] }),
    "a kid of a method's name": mine({ kid: "toString" }),
    "a kid with SQL": mine({ kid: "' or 1=1 --" }),
    "a kid of 2,000 characters": mine({ kid: "k".repeat(2_000) }),
    "alg in small letters": kept({ alg: "hs256" }),
    "alg as a list": kept({ alg: ["HS256"] }),
    "no alg": kept({ alg: undefined }),
    "alg of null": kept({ alg: null }),
    "an encrypted token's header": kept({ alg: "dir", enc: "A256GCM" }),
    "a token in a token": kept({ cty: "JWT" }),
  };
}

/** The good one with one thing wrong with its text. */
function damaged(good: string): Record<string, string> {
  const parts = good.split(".") as [string, string, string];
  const [head, body, signature] = parts;
  const last = LETTERS.indexOf(signature.at(-1) as string);
  const flips = parts.flatMap((text, which) =>
    [0, 3, 10, text.length - 5].map((at): [string, string] => {
      const bytes = Buffer.from(text, "base64url");
      const place = at % bytes.length;
      bytes[place] = (bytes[place] as number) ^ (1 << (at % 8));
      return [
        `a bit of part ${which} at ${at}`,
        parts.map((one, index) => (index === which ? bytes.toString("base64url") : one)).join("."),
      ];
    }),
  );
  return {
    ...Object.fromEntries(flips),
    // Two bits of the last letter say nothing, and another letter is another token all the same.
    "another last letter of the same bytes": `${head}.${body}.${signature.slice(0, -1)}${LETTERS[last ^ 1]}`,
    "a signature cut short": good.slice(0, -1),
    "a signature of half its length": `${head}.${body}.${signature.slice(0, 21)}`,
    "a signature with padding": `${good}=`,
    "a dot at the end": `${good}.`,
    "a dot in front": `.${good}`,
    "four parts": `${good}.${signature}`,
    "itself twice": `${good}${good}`,
    "no body": `${head}..${signature}`,
    "parts in another order": `${body}.${head}.${signature}`,
    "large letters": good.toUpperCase(),
    "other base64": `${head}.${body}.+/${signature.slice(2)}`,
    "a header that is a list": `${part([{ alg: "HS256" }])}.${body}.${signature}`,
    "claims that are a list": `${head}.${part([])}.${signature}`,
    "4,000 characters": `${head}.${"A".repeat(3_800)}.${signature}`,
  };
}

describe("a forged token", () => {
  let hub: TestHub;
  let device: { uid: string; id: string; token: string; jwt: string };
  let userJwt: string;
  const problems: string[] = [];
  const log: Log = {
    debug() {},
    info() {},
    warn: (_data, message) => void problems.push(message),
    error: (_data, message) => void problems.push(message),
  };

  before(async () => {
    hub = await startHub({ log });
    userJwt = (await hub.api.login()).token as string;
    const { body } = await hub.api.call<{ device_uid: string; device_token: string; device_jwt: string; device: { id: string } }>(
      "POST",
      "/api/v1/devices",
      { name: "Relay", device_class: "relay_controller" },
    );
    device = { uid: body.device_uid, id: body.device.id, token: body.device_token, jwt: body.device_jwt };
  });
  after(() => hub[Symbol.asyncDispose]());

  /** Variations of a good token that must all be worth nothing. */
  function forgeries(good: string): Record<string, string> {
    const [head = "", body = "", signature = ""] = good.split(".");
    const header = JSON.parse(Buffer.from(head, "base64url").toString()) as { kid: string };
    const claims = JSON.parse(Buffer.from(body, "base64url").toString()) as Record<string, unknown>;
    const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const publicPem = publicKey.export({ type: "spki", format: "pem" }).toString();
    const hmac = (text: string, key: string): string => `${text}.${createHmac("sha256", key).update(text).digest("base64url")}`;
    const signed = (secret: string, keyid: string): string => jwt.sign(claims, secret, { algorithm: "HS256", keyid });
    return {
      "alg none": `${part({ alg: "none", typ: "JWT", kid: header.kid })}.${body}.`,
      "alg NONE with the old signature": `${part({ alg: "NONE", typ: "JWT", kid: header.kid })}.${body}.${signature}`,
      "without a signature": `${head}.${body}.`,
      "RS256 of a key of its own": jwt.sign(claims, privateKey, { algorithm: "RS256", keyid: header.kid }),
      "HS256 with a public key as the secret": hmac(`${part({ alg: "HS256", typ: "JWT", kid: header.kid })}.${body}`, publicPem),
      HS512: jwt.sign(claims, "x".repeat(64), { algorithm: "HS512", keyid: header.kid }),
      "an empty secret": hmac(`${head}.${body}`, ""),
      "the kid as the secret": signed(header.kid, header.kid),
      "another kid": signed(randomBytes(32).toString("hex"), "no-such-key"),
      "a kid of the object's own": signed("x", "__proto__"),
      "a kid with a path": signed("/", "../../../../dev/null"),
      "changed claims": `${head}.${part({ ...claims, exp: 4_102_444_800 })}.${signature}`,
      "a payload that is no JSON": `${part({ alg: "HS256", typ: "JWT", kid: header.kid })}.${part("not json")}.${signature}`,
      "a header that is null": `${part("null")}.${body}.${signature}`,
      "a header that is no JSON": `${part("{")}.${body}.${signature}`,
      "a kid that is an object": `${part({ alg: "HS256", typ: "JWT", kid: {} })}.${body}.${signature}`,
      "two dots": "..",
      ...forgedHeaders(good),
      ...damaged(good),
    };
  }
  const asUser = async (token: string): Promise<number> =>
    (await fetch(`${hub.http}/api/v1/auth/me`, { headers: { authorization: `Bearer ${token}` } })).status;
  const asDevice = async (secret: string, uid = device.uid): Promise<number> =>
    (
      await fetch(`${hub.http}/api/v1/devices/sensor-report`, {
        method: "POST",
        headers: { "content-type": "application/json", "x-device-uid": uid, "x-device-token": secret },
        body: '{"values":{"t":1}}',
      })
    ).status;
  const overMqtt = async (username: string, password: string, clientId = username): Promise<unknown> => {
    try {
      const client = await mqtt.connectAsync(hub.mqtt, { clientId, username, password, protocolVersion: 5, reconnectPeriod: 0 });
      await client.endAsync(true);
      return "connected";
    } catch (error) {
      return (error as { code: unknown }).code;
    }
  };

  test("is refused as wrong, over REST and MQTT, for users and devices, and never as a failure of the hub", async () => {
    assert.deepEqual([await asUser(userJwt), await asDevice(device.jwt), await overMqtt(device.uid, device.jwt)], [200, 202, "connected"]);
    for (const [what, token] of Object.entries(forgeries(userJwt))) {
      assert.equal(await asUser(token), 401, what);
      // What is no token of a person is tried as the password, which takes its time: the ones that differ most stand for all.
      if (["alg none", "another kid", "a payload that is no JSON"].includes(what))
        assert.equal(await overMqtt("admin@example.test", token, "forger"), 0x86, what);
    }
    for (const [what, token] of Object.entries(forgeries(device.jwt))) {
      assert.equal(await asDevice(token), 401, what);
      assert.equal(await overMqtt(device.uid, token), 0x86, what);
    }
    assert.ok(Object.keys(forgeries(userJwt)).length >= 40);
    assert.deepEqual(problems, []);
  });

  test("by the name of a key that does not sign yet, or not for that, is no better", async () => {
    const kids: Record<string, string> = {};
    for (const purpose of ["user_jwt", "device_jwt", "token_hmac"]) {
      const { body } = await hub.api.call<{ signing_key: { kid: string } }>("POST", "/api/v1/signing-keys/rotate", { purpose });
      kids[purpose] = body.signing_key.kid;
    }
    const attempts = (good: string): Record<string, string> => {
      const [head = "", body = "", signature = ""] = good.split(".");
      const header = JSON.parse(Buffer.from(head, "base64url").toString()) as Record<string, unknown>;
      const claims = jwt.decode(good) as object;
      return Object.fromEntries(
        Object.entries(kids).flatMap(([purpose, kid]) => [
          [`the next ${purpose} with a secret of its own`, jwt.sign(claims, randomBytes(32), { algorithm: "HS256", keyid: kid })],
          [`the next ${purpose} with its name as the secret`, jwt.sign(claims, kid, { algorithm: "HS256", keyid: kid })],
          [`the next ${purpose} over the old signature`, `${part({ ...header, kid })}.${body}.${signature}`],
          [`the next ${purpose} without a signature`, `${part({ alg: "none", typ: "JWT", kid })}.${body}.`],
        ]),
      );
    };
    const unknown = jwt.sign(jwt.decode(userJwt) as object, randomBytes(32), { algorithm: "HS256", keyid: randomUUID() });
    assert.equal(await asUser(unknown), 401);
    for (const [what, token] of Object.entries(attempts(userJwt))) assert.equal(await asUser(token), 401, what);
    for (const [what, token] of Object.entries(attempts(device.jwt))) {
      assert.equal(await asDevice(token), 401, what);
      assert.equal(await overMqtt(device.uid, token), 0x86, what);
    }
    assert.deepEqual([await asUser(userJwt), await asDevice(device.jwt)], [200, 202]);
    assert.deepEqual(problems, []);
  });

  test("of one kind does not open the door of another", async () => {
    const other = await hub.api.addDevice();
    const { body } = await hub.api.call<{ token: string }>("POST", "/api/v1/access-tokens", { kind: "service", name: "robot" });
    for (const secret of [userJwt, body.token, "", "hxd_"]) {
      assert.equal(await asDevice(secret), 401);
      assert.notEqual(await overMqtt(device.uid, secret), "connected");
    }
    for (const secret of [device.jwt, device.token]) {
      assert.equal(await asUser(secret), 401);
      assert.equal(await overMqtt("admin@example.test", secret, "forger"), 0x86);
      assert.equal(await overMqtt("robot", secret, "forger"), 0x86);
      assert.equal(await overMqtt(other.uid, secret), 0x86);
      assert.equal(await asDevice(secret, other.uid), 401);
    }
    assert.equal(await overMqtt("another", body.token, "forger"), 0x86);
    assert.equal(await overMqtt("robot", body.token, "robot"), "connected");
  });

  test("is what an expired one counts as", async () => {
    await using short = await startHub({ env: { JWT_SECRET: "s".repeat(40) } });
    await short.api.login();
    const { kid } = JSON.parse(Buffer.from((short.api.token ?? "").split(".")[0] ?? "", "base64url").toString()) as { kid: string };
    const { sub, sid } = jwt.decode(short.api.token ?? "") as { sub: string; sid: string };
    const seconds = Math.floor(Date.now() / 1000);
    const make = (claims: object): string =>
      jwt.sign({ sub, sid, jti: "1", ...claims }, "s".repeat(40), { algorithm: "HS256", keyid: kid });
    const status = async (token: string): Promise<number> =>
      (await fetch(`${short.http}/api/v1/auth/me`, { headers: { authorization: `Bearer ${token}` } })).status;
    assert.equal(await status(make({ exp: seconds + 60 })), 200);
    assert.equal(await status(make({ exp: seconds - 1 })), 401);
    assert.equal(await status(make({})), 401);
    assert.equal(await status(make({ exp: seconds + 60, nbf: seconds + 50 })), 401);
    assert.equal(await status(make({ exp: seconds + 60, sub: { $ne: null } as unknown as string })), 401);
    for (const other of ["", sub, randomUUID(), null, 1, { $ne: null }, [sid]])
      assert.equal(await status(make({ exp: seconds + 60, sid: other })), 401, JSON.stringify(other));
  });
});
