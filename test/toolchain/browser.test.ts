import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { startBrowser } from "../support/browser.ts";
import { chromiumMissing } from "../support/services.ts";
import { until } from "../support/wait.ts";

const PAGE = `<!doctype html><title>x</title><link rel="icon" href="data:,">
<style>p { width: 400px } #unseen:focus { outline: none }</style>
<p>wide</p><button>one</button><button id="unseen">two</button>
<img src="/absent.png"><img src="http://elsewhere.example/"><script src="/broken.js"></script>`;

test("a real browser reaches nobody but the test's own servers, and what goes wrong in it fails the test", {
  skip: chromiumMissing(),
}, async () => {
  const server = createServer((request, answer) => {
    const { url } = request;
    if (url === "/absent.png") answer.writeHead(404).end();
    else if (url === "/broken.js") answer.end("throw new Error('planted')");
    else answer.writeHead(200, { "content-type": "text/html", "content-security-policy": "style-src 'none'; img-src *" }).end(PAGE);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  try {
    await using browser = await startBrowser({ hosts: { "shop.example:80": port } });
    const visit = await browser.visit();
    await visit.page.goto("http://shop.example/");
    await until(() => visit.faults.length >= 5, { what: "all that is wrong with the page" });
    await assert.rejects(async () => await visit[Symbol.asyncDispose](), /Content Security Policy/);
    visit.takeFault(/style-src/);
    visit.takeFault(/404/);
    visit.takeFault(/thrown: planted/);
    visit.takeFault(/failed: http:\/\/elsewhere\.example\/ net::ERR_NAME_NOT_RESOLVED/);
    assert.throws(() => visit.takeFault(/style-src/), /nothing like/);

    await using another = await browser.visit();
    await another.page.setContent(PAGE.slice(0, PAGE.indexOf("<img")));
    await assert.rejects(another.assertFits(), /400|408/);
    await another.tabTo("button", "one");
    await assert.rejects(another.tabTo("button", "two"), /cannot be seen/);
  } finally {
    server.close();
    server.closeAllConnections();
  }
});
