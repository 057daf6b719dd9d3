import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { createAmazon } from "../../bridges/alexa/amazon.ts";
import { GrantTokens } from "../../bridges/alexa/grant-tokens.ts";
import { createOutbound } from "../../bridges/outbound/outbound.ts";
import { newId } from "../../core/id.ts";
import { readConfig } from "../../core/config.ts";
import { createDestinations } from "../../core/destination.ts";
import { type AlexaGrant, claimRefresh, findTokens, listGrants, putGrant } from "../../store/alexa-grants.ts";
import { createEncryption } from "../../store/encryption.ts";
import type { Db } from "../../store/open.ts";
import { inTransaction } from "../../store/transaction.ts";
import { forEachEngine } from "../store/engines.ts";
import { tenant } from "../store/fixtures.ts";
import { type AlexaGateway, startAlexaGateway } from "../support/alexa-gateway.ts";

const MINUTE_MS = 60_000;

/** Somebody has linked the skill, at an Amazon whose refresh tokens are good once. */
async function linked(db: Db, gateway: AlexaGateway) {
  gateway.isRotating = true;
  const config = readConfig({ HEXA_DATA_DIR: ".", ...gateway.env }, () => "");
  const destinations = createDestinations({ allow: config.outboundAllow, ports: config.outboundPorts });
  const clock = { now: Date.now() };
  const amazon = createAmazon({ config, outbound: createOutbound({ destinations }), clock: () => clock.now });
  assert.ok(amazon);
  const encryption = createEncryption(randomBytes(32));
  const { user, organization } = await tenant(db, "ada");
  const [userId, organizationId] = [user.id, organization.id];
  const tokens = await amazon.exchange(gateway.newCode(), new AbortController().signal);
  await inTransaction(db, (trx) =>
    putGrant(
      trx,
      encryption,
      { organizationId, userId, tokenScope: undefined, credentialId: newId(), codeHash: "hash", tokens },
      clock.now,
    ),
  );
  const [grant] = (await listGrants(db, organizationId)) as [AlexaGrant];
  const context = { db, encryption, amazon, clock: () => clock.now };
  const signal = new AbortController().signal;
  return { grant, context, clock, open: (until = signal) => new GrantTokens(context, grant, until) };
}

forEachEngine(({ test }) => {
  test("nodes that need a new token at the same moment use each refresh token once", async (db) => {
    await using gateway = await startAlexaGateway();
    const { open, clock } = await linked(db, gateway);
    const nodes = [open(), open(), open()];
    for (let round = 1; round <= 5; round++) {
      clock.now += 60 * MINUTE_MS;
      const used: string[] = [];
      const use = async (access: string): Promise<void> => void used.push(access);
      await Promise.all(nodes.flatMap((node) => [node.use(use), node.use(use)]));
      assert.equal(gateway.asked.refreshes, round);
      assert.equal(new Set(used).size, 1);
    }
  });

  test("what Amazon gave is kept by whoever stops meanwhile, and goes on with another node", async (db) => {
    await using gateway = await startAlexaGateway();
    const { open, clock, context, grant } = await linked(db, gateway);
    clock.now += 60 * MINUTE_MS;
    const stopping = new AbortController();
    const before = await findTokens(db, context.encryption, grant);
    const used = open(stopping.signal).use(async () => undefined);
    stopping.abort();
    await used;
    assert.notEqual((await findTokens(db, context.encryption, grant))?.refresh, before?.refresh);
    clock.now += 60 * MINUTE_MS;
    await open().use(async () => undefined);
    assert.equal(gateway.asked.refreshes, 2);
  });

  test("a node that died while it refreshed is waited for no longer than that takes, and a clock that was wrong not at all", async (db) => {
    await using gateway = await startAlexaGateway();
    const { open, clock, grant } = await linked(db, gateway);
    const forMs = 15_000;
    clock.now += 60 * MINUTE_MS;
    assert.equal(await claimRefresh(db, grant, { now: clock.now, forMs }), true);
    assert.equal(await claimRefresh(db, grant, { now: clock.now + forMs - 1, forMs }), false);
    const waiting = open().use(async () => undefined);
    clock.now += forMs + 1;
    await waiting;
    assert.equal(gateway.asked.refreshes, 1);
    clock.now += 60 * MINUTE_MS;
    assert.equal(await claimRefresh(db, grant, { now: clock.now + 365 * 24 * 60 * MINUTE_MS, forMs }), true);
    await open().use(async () => undefined);
    assert.equal(gateway.asked.refreshes, 2);
  });

  test("Amazon in trouble leaves nobody waiting", async (db) => {
    await using gateway = await startAlexaGateway();
    const { open, clock } = await linked(db, gateway);
    clock.now += 60 * MINUTE_MS;
    gateway.loginFault = { status: 503, code: "unavailable" };
    const [one, other] = [open(), open()];
    await assert.rejects(
      one.use(async () => undefined),
      { kind: "again" },
    );
    gateway.loginFault = undefined;
    await other.use(async () => undefined);
    await one.use(async () => undefined);
    assert.equal(gateway.asked.refreshes, 2);
  });
});
