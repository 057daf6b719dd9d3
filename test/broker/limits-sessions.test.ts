import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { temporaryFolder, until } from "../support/wait.ts";
import { codeOf, type Version } from "../support/raw-client.ts";
import { type Account, ADMINISTRATOR, connectRaw, type ConnectOptions, type LimitScene, limitScene } from "./limits-scene.ts";

const LIMITS = { HEXA_MQTT_SESSIONS_PER_ACCOUNT: "3", HEXA_MQTT_SERVICE_SESSIONS_PER_ACCOUNT: "5" };
const REFUSED = 'hexahub_mqtt_logins_refused_total{reason="session_quota"}';
const versions: readonly (readonly [Version, string, number])[] = [
  [4, "MQTT 3.1.1", 3],
  [5, "MQTT 5", 0x97],
];

/** Of a session that outlives its connection. */
const lasting = (version: Version): ConnectOptions => ({
  version,
  clean: false,
  ...(version === 5 ? { properties: { sessionExpiryInterval: 600 } } : {}),
});

describe("durable sessions of one account", () => {
  let scene: LimitScene;
  before(async () => {
    scene = await limitScene(LIMITS);
  });
  after(() => scene[Symbol.asyncDispose]());

  /** CONNACK's code; the connection is over afterwards. */
  async function visit(account: Account, how: ConnectOptions): Promise<number> {
    const client = await connectRaw(scene.hub, account, how);
    const code = codeOf(client.connack);
    if (code === 0) await client.disconnect();
    else await client.ended();
    return code;
  }

  /** The administrator with a token, which is checked faster than a password. */
  async function person(): Promise<Account> {
    const { body } = await scene.hub.api.call<{ token: string }>("POST", "/api/v1/access-tokens", { kind: "personal", name: "sessions" });
    return { ...ADMINISTRATOR, password: body.token };
  }

  for (const [version, name, refused] of versions) {
    test(`a person has 3, a service account 5; one more is refused and counted, known ones and those without a life of their own are not (${name})`, async () => {
      for (const [account, most] of [
        [await person(), 3],
        [await scene.service(), 5],
      ] as const) {
        const id = (index: number): string => `${account.username}-${version}-${index}`;
        const earlier = (await scene.metric(REFUSED)) || 0;
        for (let index = 0; index < most; index++) assert.equal(await visit(account, { ...lasting(version), clientId: id(index) }), 0);
        assert.equal(await visit(account, { ...lasting(version), clientId: id(most) }), refused);
        assert.equal(await scene.metric(REFUSED), earlier + 1);
        assert.equal(await visit(account, { ...lasting(version), clientId: id(0) }), 0);
        if (version === 5) assert.equal(await visit(account, { ...lasting(version), clean: true, clientId: id(1) }), 0);
        assert.equal(await visit(account, { version, clean: true, clientId: id(most) }), 0);
        assert.equal(await visit(await scene.service(), { ...lasting(version), clientId: `other-${most}-${version}` }), 0);
        // One that ends makes room for one, and for no more.
        assert.equal(await visit(account, { version, clean: true, clientId: id(0) }), 0);
        assert.equal(await visit(account, { ...lasting(version), clientId: id(most) }), 0);
        assert.equal(await visit(account, { ...lasting(version), clientId: id(0) }), refused);
        for (let index = 1; index <= most; index++) await visit(account, { version, clean: true, clientId: id(index) });
      }
    });

    test(`of 20 that log in at once no more than 5 are let in, and those who were not leave nothing behind (${name})`, async () => {
      const account = await scene.service();
      const clients = await Promise.all(
        Array.from({ length: 20 }, (_, index) =>
          connectRaw(scene.hub, account, { ...lasting(version), clientId: `crowd-${version}-${index}` }),
        ),
      );
      const letIn = clients.filter(({ connack }) => codeOf(connack) === 0);
      assert.equal(letIn.length, 5);
      assert.ok(clients.every(({ connack }) => [0, refused].includes(codeOf(connack))));
      for (const client of letIn) await client.disconnect();
      const [first] = letIn.map((client) => clients.indexOf(client));
      assert.equal(await visit(account, { version, clean: true, clientId: `crowd-${version}-${first}` }), 0);
      assert.equal(await visit(account, { ...lasting(version), clientId: `crowd-${version}-new` }), 0);
    });
  }

  test("a session that ended by its expiry makes room", async () => {
    const account = await scene.service();
    const short: ConnectOptions = { version: 5, clean: false, properties: { sessionExpiryInterval: 1 } };
    for (let index = 0; index < 5; index++) assert.equal(await visit(account, { ...short, clientId: `short-${index}` }), 0);
    assert.equal(await visit(account, { ...short, clientId: "short-5" }), 0x97);
    await until(async () => (await visit(account, { ...short, clientId: "short-5" })) === 0, { what: "room for another session" });
  });

  test("a device is not among those who are counted", async () => {
    const device = await scene.device();
    for (let round = 0; round < 6; round++) assert.equal(await visit(device, lasting(4)), 0);
  });
});

test("what an account has is counted over a restart", async () => {
  await using folder = temporaryFolder();
  let account: Account;
  {
    await using scene = await limitScene(LIMITS, { dataDir: folder.path });
    account = await scene.service();
    for (let index = 0; index < 5; index++) await scene.connect(account, { ...lasting(5), clientId: `kept-${index}` });
  }
  await using scene = await limitScene(LIMITS, { dataDir: folder.path });
  await using refused = await connectRaw(scene.hub, account, { ...lasting(5), clientId: "kept-5" });
  assert.equal(codeOf(refused.connack), 0x97);
  const { connack } = await scene.connect(account, { ...lasting(5), clientId: "kept-4" });
  assert.equal(connack.sessionPresent, true);
});
