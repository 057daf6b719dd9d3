import { createAccessToken } from "../../store/access-tokens.ts";
import { openLogin } from "../../store/logins.ts";
import { openStore } from "../../store/open.ts";
import { createOrganization } from "../../store/organizations.ts";
import { loadMasterKey, loadSigningKeys } from "../../store/secrets.ts";
import { createUser } from "../../store/users.ts";
import { ADMIN, ApiClient, startHub, type TestHub } from "../support/hub.ts";
import { temporaryFolder } from "../support/wait.ts";

export interface Person {
  readonly email: string;
  /** A personal token, which is also the password over MQTT. */
  readonly password: string;
  readonly api: ApiClient;
  readonly organizationId: string;
  readonly userId: string;
  /** A login that goes on. */
  readonly loginId: string;
}

export interface TwoOrganizations extends AsyncDisposable {
  readonly hub: TestHub;
  /** Platform administrator; `hub.api` speaks for the same. */
  readonly admin: Person;
  /** Plain members, each alone in an organisation. */
  readonly alice: Person;
  readonly mallory: Person;
}

/** A whole hub with two organisations, made in its database before it starts, since no route makes a second one. */
export async function startTwoOrganizations(databaseUrl: string | undefined): Promise<TwoOrganizations> {
  await using stack = new AsyncDisposableStack();
  const dataDir = stack.use(temporaryFolder("attack")).path;
  const made: Record<string, Omit<Person, "api">> = {};
  {
    await using store = await openStore({ dataDir, databaseUrl });
    const keys = await loadSigningKeys(store.db, await loadMasterKey(dataDir));
    const home = await createOrganization(store.db, { name: "Home" });
    const other = await createOrganization(store.db, { name: "Other" });
    for (const [name, role, organizationId] of [
      ["admin", "admin", home.id],
      ["alice", "user", home.id],
      ["mallory", "user", other.id],
    ] as const) {
      const email = name === "admin" ? ADMIN.email : `${name}@example.test`;
      const user = await createUser(store.db, { email, passwordHash: "none", role, memberRole: "owner", organizationId });
      const { token } = await createAccessToken(store.db, keys, { kind: "personal", name, userId: user.id, organizationId });
      const login = await openLogin(store.db, keys, { userId: user.id, ttlMs: 3_600_000 }, Date.now());
      made[name] = { email, password: token, organizationId, userId: user.id, loginId: login.id };
    }
  }
  const hub = stack.use(await startHub({ dataDir, databaseUrl }));
  const person = (name: string, api = new ApiClient(hub.http)): Person => {
    const one = made[name] as Omit<Person, "api">;
    api.token = one.password;
    return { ...one, api };
  };
  const [admin, alice, mallory] = [person("admin", hub.api), person("alice"), person("mallory")];
  const owned = stack.move();
  return { hub, admin, alice, mallory, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}
