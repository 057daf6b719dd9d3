import assert from "node:assert/strict";
import { test } from "node:test";
import { databases } from "../support/databases.ts";
import { ADMIN, spawnHub } from "../support/hub.ts";
import { Browser, ProgramServer } from "../support/linking.ts";
import { freePort } from "../support/services.ts";
import { temporaryFolder } from "../support/wait.ts";

for (const { name, skip, open } of databases())
  test(`${name}: a hub that is killed between the page, the code and the tokens goes on with what it has given`, { skip }, async () => {
    await using database = await open();
    await using folder = temporaryFolder();
    const port = await freePort();
    const origin = `http://127.0.0.1:${port}`;
    const start = () =>
      spawnHub({
        dataDir: folder.path,
        databaseUrl: database.url,
        env: { HEXA_HTTP_PORT: String(port), HEXA_PUBLIC_URL: origin },
      });
    const redirectUri = "https://pitangui.amazon.com/api/skill/link/M2AAAAAAAAAAAA";
    const browser = new Browser(origin, origin);
    let program: ProgramServer;
    {
      await using hub = await start();
      const { api } = hub;
      await api.login();
      const { body } = await api.call<{ client: { client_id: string }; client_secret: string }>("POST", "/api/v1/oauth-clients", {
        name: "Alexa",
        redirect_uris: [redirectUri],
        scopes: ["devices"],
      });
      program = new ProgramServer(origin, { id: body.client.client_id, secret: body.client_secret, redirectUri });
      await browser.open(program.authorizePath());
      await browser.send("login", ADMIN);
      await hub.kill9();
    }
    let code: string;
    {
      await using hub = await start();
      const { outside } = await browser.send("allow");
      code = outside?.searchParams.get("code") ?? assert.fail(outside?.href);
      await hub.kill9();
    }
    let refreshToken: string;
    {
      await using hub = await start();
      const { status, body } = await program.redeem(code);
      assert.equal(status, 200, JSON.stringify(body));
      refreshToken = body["refresh_token"] as string;
      await hub.kill9();
    }
    await using hub = await start();
    const { status, body } = await program.refresh(refreshToken);
    assert.equal(status, 200, JSON.stringify(body));
    hub.api.token = body["access_token"] as string;
    assert.equal((await hub.api.call("GET", "/api/v1/devices")).status, 200);
    assert.equal((await hub.api.call("POST", "/api/v1/devices", { name: "x", device_class: "ir_hub" })).status, 403);
    assert.equal((await hub.api.call("GET", "/metrics", undefined, { "x-forwarded-for": "192.0.2.1" })).status, 403);
  });
