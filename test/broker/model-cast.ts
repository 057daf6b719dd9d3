import { createAccessToken } from "../../store/access-tokens.ts";
import { openStore } from "../../store/open.ts";
import { createOrganization } from "../../store/organizations.ts";
import { loadMasterKey, loadSigningKeys } from "../../store/secrets.ts";
import { createUser } from "../../store/users.ts";
import { ADMIN, ApiClient, startHub, type TestHub } from "../support/hub.ts";
import { temporaryFolder } from "../support/wait.ts";
import { acquaint } from "./model-fences.ts";
import type { Account } from "./model-terms.ts";
import { startGround } from "./nodes.ts";

/** Somebody who can log in. */
export interface Player {
  readonly account: Account;
  readonly username: string;
  /** The last one is valid; those before were revoked. */
  readonly passwords: string[];
  /** The valid token's id; people only. */
  tokenId: string;
  /** For people: the REST API of each node, with a token that is not revoked. */
  readonly apis: readonly ApiClient[];
  /** For devices: what claims it, when nobody owns it. */
  claimCode: string | undefined;
}

export interface Cast extends AsyncDisposable {
  /** The nodes. */
  readonly hubs: readonly TestHub[];
  readonly organizations: readonly [home: string, other: string];
  /** A service of each organisation that plays no part, to see by what the nodes know. */
  readonly guards: readonly Pick<Player, "username" | "passwords">[];
  readonly admin: Player;
  readonly players: ReadonlyMap<string, Player>;
  /** In the first organisation at first. */
  readonly devices: readonly Player[];
}

const PEOPLE = ["admin", "alice", "bob", "mallory"] as const;
const SERVICES = ["home-service", "other-service"] as const;
const GUARDS = ["home-guard", "other-guard"] as const;
const OTHERS: readonly string[] = ["mallory", "other-service", "other-guard"];
const DEVICES = 3;

/** Hubs with two organisations, their people and services, and some devices; several share PostgreSQL and Redis. */
export async function startCast(nodeCount: number): Promise<Cast> {
  await using stack = new AsyncDisposableStack();
  const dataDir = stack.use(temporaryFolder("model")).path;
  const ground = nodeCount > 1 ? stack.use(await startGround()) : undefined;
  const made: { name: string; kind: "person" | "service"; organization: string; token: string; tokenId: string; apiToken: string }[] = [];
  const organizations: string[] = [];
  {
    await using store = await openStore({ dataDir, databaseUrl: ground?.databaseUrl });
    const keys = await loadSigningKeys(store.db, await loadMasterKey(dataDir, ground?.env["HEXA_MASTER_KEY"]));
    for (const name of ["Home", "Other"]) organizations.push((await createOrganization(store.db, { name })).id);
    for (const name of [...PEOPLE, ...SERVICES, ...GUARDS]) {
      const organizationId = organizations[OTHERS.includes(name) ? 1 : 0] as string;
      const isService = !PEOPLE.some((person) => person === name);
      const user = {
        email: emailOf(name),
        passwordHash: "none",
        role: name === "admin" ? "admin" : "user",
        memberRole: "owner",
        organizationId,
      } as const;
      const userId = isService ? undefined : (await createUser(store.db, user)).id;
      const token = (purpose: string) =>
        createAccessToken(store.db, keys, { kind: isService ? "service" : "personal", name: purpose, userId, organizationId });
      const { id: tokenId, token: password } = await token(name);
      const apiToken = isService ? "" : (await token(`${name}-rest`)).token;
      made.push({ name, kind: isService ? "service" : "person", organization: organizationId, token: password, tokenId, apiToken });
    }
  }
  const hubs: TestHub[] = [];
  for (let at = 0; at < nodeCount; at++) hubs.push(stack.use(await startHub(ground ?? { dataDir })));
  const players = new Map<string, Player>();
  for (const { name, kind, organization, token, tokenId, apiToken } of made) {
    const apis = hubs.map(({ http }) => Object.assign(new ApiClient(http), { token: apiToken }));
    const account: Account = { name, kind, organization, isAdmin: name === "admin" };
    players.set(name, {
      account,
      username: kind === "service" ? name : emailOf(name),
      passwords: [token],
      tokenId,
      apis,
      claimCode: undefined,
    });
  }
  const guards = GUARDS.map((name) => players.get(name) as Player);
  for (const name of GUARDS) players.delete(name);
  await acquaint({ hubs, guards, organizations: [organizations[0] as string, organizations[1] as string] });
  const admin = players.get("admin") as Player;
  const devices: Player[] = [];
  for (let at = 0; at < DEVICES; at++) {
    const { uid, token } = await (admin.apis[0] as ApiClient).addDevice();
    const account: Account = { name: uid, kind: "device", organization: "", isAdmin: false };
    devices.push({ account, username: uid, passwords: [token], tokenId: "", apis: admin.apis, claimCode: undefined });
    players.set(uid, devices.at(-1) as Player);
  }
  const owned = stack.move();
  return {
    hubs,
    guards,
    organizations: [organizations[0] as string, organizations[1] as string],
    admin,
    players,
    devices,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

const emailOf = (name: string): string => (name === "admin" ? ADMIN.email : `${name}@example.test`);
