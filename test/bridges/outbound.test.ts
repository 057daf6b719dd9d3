import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTcpServer, type AddressInfo, type Socket } from "node:net";
import { describe, test } from "node:test";
import { createOutbound, type OutboundContext, OutboundError } from "../../bridges/outbound/outbound.ts";
import { createDestinations, ForbiddenDestination, isDestination } from "../../core/destination.ts";

const PORTS = [80, 443];
const NAMES: Readonly<Record<string, readonly string[]>> = {
  "metadata.google.example": ["169.254.169.254"],
  "inside.example": ["10.0.0.7"],
  "mixed.example": ["93.184.215.14", "192.168.1.1"],
  "mapped.example": ["::ffff:10.0.0.7"],
  "nat64.example": ["64:ff9b::a00:7"],
  "own-nat64.example": ["64:ff9b:1::a00:7"],
  "six-to-four.example": ["2002:0a00:0007::1"],
  "teredo.example": ["2001:0:4136:e378:8000:63bf:3fff:fdd2"],
  "compatible.example": ["::10.0.0.7"],
  "ula.example": ["fd00::1"],
  "linklocal.example": ["fe80::1"],
  "site-local.example": ["fec0::1"],
  "cgnat.example": ["100.64.0.1"],
  "this-network.example": ["0.0.0.0"],
  "broadcast.example": ["255.255.255.255"],
  "multicast.example": ["224.0.0.1"],
  "benchmark.example": ["198.18.0.1"],
  "documentation.example": ["192.0.2.1"],
  "reserved.example": ["240.0.0.1"],
  "loopback.example.": ["127.0.0.1"],
  "no-address.example": [],
  "nonsense.example": ["not an address"],
  "xn--bcher-kva.example": ["127.0.0.1"],
};
const resolve = async (host: string): Promise<readonly string[]> => NAMES[host] ?? Promise.reject(new Error("ENOTFOUND"));

/** Each leads into the hub's network, or nowhere, in another disguise. */
const INSIDE = [
  "http://127.0.0.1/",
  "http://127.1/",
  "http://2130706433/",
  "http://0177.0.0.1/",
  "http://0x7f.0.0.1/",
  "http://0x7f000001/",
  "http://127.0.0.1./",
  "http://127.0.0.1:80/",
  "http://0.0.0.0/",
  "http://0/",
  "http://10.0.0.1/",
  "http://172.16.0.1/",
  "http://192.168.0.1/",
  "http://100.64.0.1/",
  "http://169.254.169.254/latest/meta-data/",
  "http://[::1]/",
  "http://[::]/",
  "http://[::ffff:127.0.0.1]/",
  "http://[::ffff:7f00:1]/",
  "http://[::127.0.0.1]/",
  "http://[64:ff9b::7f00:1]/",
  "http://[2002:7f00:1::]/",
  "http://[fe80::1]/",
  "http://[fd12:3456::1]/",
  "http://[ff02::1]/",
  "http://localhost/",
  "http://LOCALHOST./",
  "http://sub.localhost/",
  "http://printer/",
  "http://printer.local/",
  "http://metadata.google.internal/",
  "http://127。0。0。1/",
  "http://①②⑦.0.0.1/",
  "http://ⓛocalhost/",
  "http://%31%32%37.0.0.1/",
  "http://1.1.1.1@127.0.0.1/",
  "http://user:password@93.184.215.14/",
  "http://93.184.215.14:6379/",
  "http://93.184.215.14:80@127.0.0.1:22/",
  "ftp://93.184.215.14/",
  "file:///etc/passwd",
  "gopher://93.184.215.14/",
  "data:text/plain,x",
  "//127.0.0.1/",
  "http:///",
  "http://[fe80::1%25eth0]/",
  `http://93.184.215.14/${"x".repeat(2_048)}`,
  "http://bücher.example/",
  ...Object.keys(NAMES).map((name) => `http://${name}/`),
  "https://inside.example/",
  "http://nobody.example/",
];

/** A real server on the loopback address, which counts who connects. */
async function receiver(answer: (request: IncomingMessage, response: ServerResponse) => void, host = "127.0.0.1", wanted = 0) {
  const asked: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    asked.push(request);
    answer(request, response);
  });
  server.listen(wanted, host);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    port,
    asked,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

const outboundWith = (context: Omit<OutboundContext, "destinations">, allow: readonly string[] = []) =>
  createOutbound({ destinations: createDestinations({ allow, ports: PORTS }), resolve, ...context });
const get = { method: "GET" } as const;

describe("the hub's own network", () => {
  test(`is closed to ${INSIDE.length} URLs that lead there`, async () => {
    const outbound = outboundWith({});
    assert.ok(INSIDE.length >= 60);
    for (const url of INSIDE) await assert.rejects(outbound.request(url, get), ForbiddenDestination, url);
  });

  test("is not reached through a name that changes its address between the look and the connection", async () => {
    await using inside = await receiver((_request, response) => response.end("secret"), "127.0.0.1");
    await using outside = await receiver((_request, response) => response.end("public"), "127.0.0.2", inside.port);
    const looks: string[] = [];
    const rebinding = async (host: string): Promise<readonly string[]> => (looks.push(host) % 2 === 1 ? ["127.0.0.2"] : ["127.0.0.1"]);
    const outbound = outboundWith({ resolve: rebinding }, ["127.0.0.2"]);
    const ask = () => outbound.request(`http://rebinding.example:${inside.port}/`, get);
    for (let round = 0; round < 10; round++) {
      assert.equal((await ask()).body.toString(), "public");
      await assert.rejects(ask(), ForbiddenDestination);
    }
    assert.deepEqual([looks.length, inside.asked.length, outside.asked.length], [20, 0, 10]);
  });

  test("is not reached through a redirect: that is an answer", async () => {
    await using inside = await receiver((_request, response) => response.end("secret"));
    for (const status of [301, 302, 303, 307, 308]) {
      await using outside = await receiver((_request, response) =>
        response.writeHead(status, { location: `http://127.0.0.1:${inside.port}/` }).end(),
      );
      const answer = await outboundWith({}, ["127.0.0.1"]).request(`http://127.0.0.1:${outside.port}/`, get);
      assert.equal(answer.status, status);
    }
    assert.equal(inside.asked.length, 0);
  });

  test("is open as far as it was allowed: a range, an address, a name; on every port", async () => {
    await using inside = await receiver((_request, response) => response.end("hello"));
    const ask = (allow: string, url: string) => outboundWith({ resolve: async () => ["127.0.0.1"] }, [allow]).request(url, get);
    for (const [allow, url] of [
      ["127.0.0.0/8", `http://127.0.0.1:${inside.port}/`],
      ["127.0.0.1", `http://2130706433:${inside.port}/`],
      ["127.0.0.1/32", `http://node-red.lan:${inside.port}/`],
      ["Node-RED.lan", `http://node-red.lan.:${inside.port}/`],
    ] as const)
      assert.equal((await ask(allow, url)).body.toString(), "hello", `${allow} ${url}`);
    const before = inside.asked.length;
    for (const [allow, url] of [
      ["127.0.0.2", `http://127.0.0.1:${inside.port}/`],
      ["other.lan", `http://node-red.lan:${inside.port}/`],
      ["red.lan", `http://node.red.lan:${inside.port}/`],
      ["::1", `http://127.0.0.1:${inside.port}/`],
      ["10.0.0.0/8", `http://[::1]:${inside.port}/`],
    ] as const)
      await assert.rejects(ask(allow, url), ForbiddenDestination, `${allow} ${url}`);
    assert.equal(inside.asked.length, before);
  });

  test("is named by addresses, ranges and host names, and nothing else", () => {
    for (const good of ["10.0.0.1", "10.0.0.0/8", "::1", "fd00::/8", "nodered.lan", "my_host", "a-b.example"])
      assert.ok(isDestination(good), good);
    for (const bad of ["", "10.0.0.0/33", "::1/129", "10.0.0.0/8/8", "http://x", "x:80", "*.lan", "999", "a..b", "-a", "a b"])
      assert.ok(!isDestination(bad), bad);
  });
});

describe("a receiver", () => {
  const url = ({ port }: { port: number }): string => `http://node-red.lan:${port}/path?query=1`;
  const allowed = (limits = {}) => outboundWith({ resolve: async () => ["127.0.0.1"], limits }, ["127.0.0.1"]);

  test("gets the name as Host, the body and the headers, over a connection that ends", async () => {
    let body = "";
    await using one = await receiver((request, response) => {
      request.on("data", (part: Buffer) => (body += part.toString()));
      request.on("end", () => response.writeHead(201, { "x-answer": "yes" }).end("thanks"));
    });
    const answer = await allowed().request(url(one), { method: "POST", headers: { "x-question": "1" }, body: "{}" });
    assert.deepEqual(
      [answer.status, answer.headers["x-answer"], answer.body.toString(), answer.isTruncated],
      [201, "yes", "thanks", false],
    );
    const [request] = one.asked;
    assert.deepEqual(
      [request?.headers.host, request?.url, request?.headers["x-question"], request?.headers.connection, body],
      [`node-red.lan:${one.port}`, "/path?query=1", "1", "close", "{}"],
    );
  });

  test("is read up to a limit, however much it says", async () => {
    await using one = await receiver((_request, response) => {
      const more = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(65_536, 1)));
        if (!response.destroyed) response.once("drain", more);
      };
      more();
    });
    const answer = await allowed().request(url(one), get);
    assert.deepEqual([answer.body.length, answer.isTruncated], [65_536, true]);
  });

  test("is not waited for without end: while it connects, thinks, dribbles or says nothing at all", async () => {
    await using silent = await receiver(() => undefined);
    await using dribbling = await receiver((_request, response) => {
      const more = setInterval(() => response.write("x"), 20);
      response.once("close", () => clearInterval(more));
    });
    const sockets = new Set<Socket>();
    const deaf = createTcpServer((socket) => void sockets.add(socket));
    deaf.listen(0, "127.0.0.1");
    await once(deaf, "listening");
    const started = performance.now();
    for (const target of [silent, dribbling, deaf.address() as AddressInfo])
      await assert.rejects(
        allowed({ wholeMs: 400 }).request(url(target), get),
        (error) => error instanceof OutboundError && error.reason === "timeout",
      );
    const stuck = outboundWith({ resolve: () => new Promise(() => undefined), limits: { wholeMs: 300 } });
    await assert.rejects(
      stuck.request("http://stuck.example/", get),
      (error) => error instanceof OutboundError && error.reason === "timeout",
    );
    assert.ok(performance.now() - started < 5_000);
    for (const socket of sockets) socket.destroy();
    deaf.close();
  });

  test("whose names hang keeps nobody else waiting, and no more than two look-ups", async () => {
    await using answering = await receiver((_request, response) => void response.end("ok"));
    const hanging: (() => void)[] = [];
    const asked: string[] = [];
    const outbound = createOutbound({
      destinations: createDestinations({ allow: ["127.0.0.1/32"], ports: PORTS }),
      limits: { wholeMs: 2_000 },
      resolve: async (host) => {
        asked.push(host);
        if (host.startsWith("hangs")) await new Promise<void>((answer) => hanging.push(answer));
        return ["127.0.0.1"];
      },
    });
    const { port } = new URL(url(answering));
    const ask = async (host: string, organizationId: string, signal?: AbortSignal): Promise<number> =>
      (await outbound.request(`http://${host}.example:${port}/`, { ...get, organizationId, ...(signal ? { signal } : {}) })).status;
    const stop = new AbortController();
    const stopped = Promise.allSettled([1, 2, 3, 4].map((index) => ask(`hangs-${index}`, "a", stop.signal)));
    for (let round = 0; round < 3; round++) assert.equal(await ask("quick", "b"), 200);
    assert.deepEqual(asked, ["hangs-1.example", "hangs-2.example", ...Array.from({ length: 3 }, () => "quick.example")]);
    // Whoever gives up is not looked up any more, and a look-up that is under way has its place until it ends.
    stop.abort();
    assert.ok((await stopped).every(({ status }) => status === "rejected"));
    const later = ask("later", "a");
    assert.equal(await ask("quick", "b"), 200);
    assert.equal(asked.includes("later.example"), false);
    hanging[0]?.();
    assert.equal(await later, 200);
    assert.equal(asked.includes("hangs-3.example"), false);
  });

  test("that is gone, or no HTTP, is an error with a reason, and so is a caller who stops", async () => {
    const gone = await receiver(() => undefined);
    await gone[Symbol.asyncDispose]();
    const unreachable = (error: unknown): boolean => error instanceof OutboundError && error.reason === "unreachable";
    await assert.rejects(allowed().request(url(gone), get), unreachable);
    const babbling = createTcpServer((socket) => void socket.end("220 mail ready\r\n"));
    babbling.listen(0, "127.0.0.1");
    await once(babbling, "listening");
    await assert.rejects(allowed().request(url(babbling.address() as AddressInfo), get), unreachable);
    babbling.close();
    await using silent = await receiver(() => undefined);
    const stop = new AbortController();
    const asking = allowed().request(url(silent), { ...get, signal: stop.signal });
    stop.abort();
    await assert.rejects(asking, (error) => error instanceof OutboundError && error.reason === "stopped");
  });
});
