import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { describe, test } from "node:test";
import { databases } from "../support/databases.ts";
import { collectErrors } from "../support/collected-errors.ts";
import { startHub } from "../support/hub.ts";

const NESTED = `${"[".repeat(200_000)}"\\u0000"${"]".repeat(200_000)}`;

for (const { name, skip, open } of databases()) {
  describe(`${name}: malformed HTTP`, { skip }, () => {
    test("is answered as the client's mistake, pollutes nothing and leaves the hub as it was", async () => {
      const { errors, log } = collectErrors();
      await using database = await open();
      await using hub = await startHub({ databaseUrl: database.url, log });
      await hub.api.login();
      const { uid, token } = await hub.api.addDevice();
      const { port } = new URL(hub.http);
      const bearer = `authorization: Bearer ${hub.api.token}\r\n`;
      const device = `x-device-uid: ${uid}\r\nx-device-token: ${token}\r\n`;

      /** One request as bytes; resolves to the status of the answer, 0 for none. `cut` ends the sending side behind it. */
      async function raw(bytes: string | Buffer, how: "whole" | "cut" = "whole"): Promise<number> {
        const socket = connect(Number(port), "127.0.0.1");
        socket.on("error", () => undefined);
        const chunks: Buffer[] = [];
        socket.on("data", (chunk: Buffer) => chunks.push(chunk));
        const closed = once(socket, "close");
        if (how === "cut") socket.end(bytes);
        else socket.write(bytes);
        await closed;
        return Number(/^HTTP\/1\.1 (\d{3})/.exec(Buffer.concat(chunks).toString("latin1"))?.[1] ?? 0);
      }
      const get = (path: string, headers = bearer): Promise<number> =>
        raw(`GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n${headers}\r\n`);
      const send = (
        method: string,
        path: string,
        body: string | Buffer,
        headers = bearer,
        length = Buffer.byteLength(body),
      ): Promise<number> =>
        raw(
          Buffer.concat([
            Buffer.from(
              `${method} ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\n${headers}\r\n`,
            ),
            Buffer.from(body),
          ]),
        );

      const gets: [string, number[]][] = [
        ["/api/v1/events?from=8000000000000000", [400]],
        ["/api/v1/events?to=8640000000000000", [400]],
        ["/api/v1/events?from=-1", [400]],
        ["/api/v1/events?from=9999-12-31T23:59:59Z", [200]],
        [`/api/v1/readings?device=${uid}&key=t&from=0&to=253402300799999`, [200]],
        [`/api/v1/readings?device=${uid}&key=t&from=0&to=253402300799999&bucket=1`, [200]],
        [`/api/v1/readings?device=${uid}&key=t&cursor=9999999999999999`, [200]],
        [`/api/v1/readings?device=${uid}&key=__proto__`, [400]],
        [`/api/v1/readings?device=${uid}&key=constructor`, [200]],
        [`/api/v1/readings?device=__proto__&key=t`, [400]],
        ["/api/v1/devices?limit=1&limit=2", [400]],
        ["/api/v1/devices?cursor=a&cursor=b", [400]],
        ["/api/v1/devices?__proto__=x", [400]],
        ["/api/v1/devices?__proto__[x]=x", [400]],
        ["/api/v1/devices?constructor=x", [400]],
        ["/api/v1/devices?search=%00", [400]],
        ["/api/v1/devices?search=%ff%fe%ed%a0%80", [200]],
        ["/api/v1/devices?search=%25%5f%5c%27", [200]],
        ["/api/v1/devices?limit=99999999999999999999", [400]],
        ["/api/v1/devices?limit=-1", [400]],
        ["/api/v1/devices?cursor=%27%20or%201=1", [200]],
        [`/api/v1/devices?search=${"a".repeat(5_000)}`, [400]],
        [`/api/v1/devices/${"9".repeat(4_000)}`, [400]],
        ["/api/v1/devices/%", [400]],
        ["/api/v1/devices/%c0%ae%c0%ae", [400]],
        ["/api/v1/devices/relay-%00abcdef", [400]],
        ["/api/v1/devices/__proto__", [400]],
        ["/api/v1/devices/constructor", [404]],
        ["/api/v1/__proto__", [404]],
        ["/docs/../package.json", [404]],
        ["/docs/..%2f..%2fpackage.json", [404]],
        ["/docs/%2e%2e/%2e%2e/etc/passwd", [404]],
        ["/docs/swagger-ui.css/../../package.json", [404]],
        ["/docs//etc/passwd", [404]],
        ["/docs/swagger-ui.css%00.js", [404]],
        ["//api/v1/devices", [404]],
        ["/\\..\\package.json", [404]],
        ["http://elsewhere.test/health", [200, 404]],
        ["*", [400, 404]],
        ["/health?x=1", [200, 400]],
        [`/${"a".repeat(20_000)}`, [431]],
      ];
      for (const [path, expected] of gets) {
        const status = await get(path);
        assert.ok(expected.includes(status), `GET ${path.slice(0, 80)} answered ${status}, not ${expected.join(" or ")}`);
      }
      for (const method of ["PUT", "OPTIONS", "TRACE", "HEAD", "PROPFIND"])
        assert.ok(
          [200, 404, 405].includes(await raw(`${method} /api/v1/devices HTTP/1.1\r\nhost: x\r\nconnection: close\r\n${bearer}\r\n`)),
          method,
        );

      const patch = `/api/v1/devices/${uid}`;
      const bodies: [string, string, string | Buffer, number[]][] = [
        ["POST", "/api/v1/devices", NESTED, [400]],
        ["POST", "/api/v1/devices", '{"name":"x","device_class":"relay_controller","__proto__":{"role":"admin"}}', [400]],
        ["POST", "/api/v1/devices", '{"name":"x","device_class":"__proto__"}', [400]],
        ["POST", "/api/v1/devices", '{"name":"x","device_class":"relay_controller","capabilities":{"__proto__":{"relays":9}}}', [400]],
        ["POST", "/api/v1/devices", '{"name":"x","device_class":"relay_controller","capabilities":{"constructor":1}}', [400]],
        ["POST", "/api/v1/devices", '{"name":"a\\u0000b","device_class":"relay_controller"}', [400]],
        ["POST", "/api/v1/devices", '{"name":"\\ud800","device_class":"relay_controller"}', [400]],
        ["POST", "/api/v1/devices", '{"name":"\\n","device_class":"relay_controller"}', [400]],
        ["POST", "/api/v1/devices", '{"name":"\u202e\u{1f4a9}","device_class":"relay_controller"}', [201]],
        ["POST", "/api/v1/devices", Buffer.from([0x22, 0xff, 0xfe, 0x22]), [400]],
        ["POST", "/api/v1/devices", "null", [400]],
        ["POST", "/api/v1/devices", "[]", [400]],
        ["POST", "/api/v1/devices", "1e999", [400]],
        ["POST", "/api/v1/devices", " ".repeat(1_100_000), [413]],
        ["PATCH", patch, '{"settings":{"__proto__":{"x":1}}}', [400]],
        ["PATCH", patch, '{"settings":{"constructor":{"prototype":{"x":1}}}}', [400]],
        ["PATCH", patch, '{"settings":{"relay_names":["\\u0000"]}}', [400]],
        ["PATCH", patch, '{"settings":{"relay_names":["__proto__","\u{10ffff}"]}}', [200]],
        ["POST", `${patch}/commands`, '{"command":"__proto__"}', [400]],
        ["POST", `${patch}/commands`, '{"command":"constructor"}', [400]],
        ["POST", `${patch}/commands`, '{"command":"set_relay","relay":1e400,"state":"ON"}', [400]],
        ["POST", `${patch}/commands`, '{"command":"set_relay","relay":0,"state":"ON","command_id":"__proto__"}', [409]],
        ["POST", "/api/v1/auth/login", '{"email":"a@b","password":{"$ne":1}}', [400]],
        ["POST", "/api/v1/auth/login", `{"email":"a@b.test","password":"${"p".repeat(1_025)}"}`, [400]],
      ];
      for (const [method, path, body, expected] of bodies) {
        const status = await send(method, path, body);
        assert.ok(
          expected.includes(status),
          `${method} ${path} ${String(body).slice(0, 80)} answered ${status}, not ${expected.join(" or ")}`,
        );
      }
      const reports: [string, number][] = [
        ['{"values":{"__proto__":1}}', 400],
        ['{"values":{"constructor":1,"to_string":2,"has_own_property":true}}', 202],
        ['{"values":{"t":1e999}}', 400],
        ['{"values":{"t":5e-324,"u":-1.7976931348623157e308,"v":-0}}', 202],
        ['{"values":{"t":"\u{10ffff}\ufffe"}}', 202],
        ['{"ts":8640000000000001,"values":{"t":1}}', 400],
        ['{"ts":"2026-13-45T99:99:99Z","values":{"t":1}}', 400],
      ];
      for (const [body, expected] of reports)
        assert.equal(await send("POST", "/api/v1/devices/sensor-report", body, device), expected, body);

      const early = `POST /api/v1/devices HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n${bearer}\r\n{`;
      assert.ok([0, 400].includes(await raw(early, "cut")), "a body that ends early");
      assert.equal(await send("POST", "/api/v1/devices", "{}", bearer, -1), 400, "a negative length");
      const strange: [string, string][] = [
        ["two lengths", `POST /api/v1/devices HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ncontent-length: 3\r\n${bearer}\r\n{}`],
        [
          "a length beside chunks",
          `POST /api/v1/devices HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n${bearer}\r\n0\r\n\r\n`,
        ],
        [
          "a chunk size of letters",
          `POST /api/v1/devices HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n${bearer}\r\nzz\r\n`,
        ],
        ["NUL in a header", `GET /health HTTP/1.1\r\nhost: x\r\nx-a: a\0b\r\n\r\n`],
        ["a folded header", `GET /health HTTP/1.1\r\nhost: x\r\nx-a: a\r\n b\r\n\r\n`],
        ["no host", "GET /health HTTP/1.1\r\n\r\n"],
        ["another protocol", "\x16\x03\x01\x02\x00\x01\x00"],
        ["MQTT on the HTTP port", "\x10\x0c\x00\x04MQTT\x04\x02\x00\x1e\x00\x00"],
        ["a space before the colon", "GET /health HTTP/1.1\r\nhost : x\r\n\r\n"],
      ];
      for (const [what, bytes] of strange) {
        const status = await raw(bytes, "cut");
        assert.ok(status === 400 || status === 0, `${what} answered ${status}`);
      }
      assert.equal(({} as Record<string, unknown>)["role"], undefined);
      assert.equal(await get("/api/v1/devices"), 200);
      assert.deepEqual(errors, []);
    });

    test("of one client that sends its body a byte at a time, or never, keeps nobody else waiting", async () => {
      await using database = await open();
      await using hub = await startHub({ databaseUrl: database.url });
      await hub.api.login();
      const { port } = new URL(hub.http);
      const slow = Array.from({ length: 50 }, () => connect(Number(port), "127.0.0.1"));
      for (const socket of slow) {
        socket.on("error", () => undefined);
        socket.write(
          `POST /api/v1/devices HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${hub.api.token}\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{`,
        );
      }
      await Promise.all(slow.filter(({ connecting }) => connecting).map((socket) => once(socket, "connect")));
      const started = performance.now();
      for (let n = 0; n < 20; n++) assert.equal((await hub.api.call("GET", "/api/v1/devices")).status, 200);
      assert.ok(performance.now() - started < 5_000);
      for (const socket of slow) socket.destroy();
    });
  });
}
