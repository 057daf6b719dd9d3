import { newId, newSecret } from "../../core/id.ts";
import type { Role } from "../../core/permissions.ts";
import { createAccessToken, revokeAccessToken } from "../../store/access-tokens.ts";
import { PLATFORM } from "../../core/principal.ts";
import { openLogin } from "../../store/logins.ts";
import { addMember } from "../../store/members.ts";
import { putNotifications } from "../../store/notification-feeds.ts";
import { openStore } from "../../store/open.ts";
import { createOrganization } from "../../store/organizations.ts";
import { loadMasterKey, loadSigningKeys } from "../../store/secrets.ts";
import { createUser } from "../../store/users.ts";
import { ApiClient, startHub, type TestHub } from "../support/hub.ts";
import { temporaryFolder } from "../support/wait.ts";

/**
 * Members of `ours`, but `stranger`, who owns `theirs`, and `root`, who administers the hub and is in neither. `scoped` owns
 * `ours` too, and comes with a token for device.read on one device.
 */
export const PEOPLE = ["owner", "admin", "operator", "viewer", "guest", "scoped", "stranger", "root"] as const;
export type PersonName = (typeof PEOPLE)[number];
/** Nobody that the hub knows: no token, one that is too old, one that was revoked. */
export const NOBODY = ["anonymous", "expired", "revoked"] as const;
export type Who = PersonName | (typeof NOBODY)[number];

export interface CastMember {
  readonly email: string;
  readonly userId: string;
  /** Also the password over MQTT. */
  readonly token: string;
  readonly api: ApiClient;
  /** Logins that go on, to be ended. */
  readonly loginIds: string[];
  /** What they were told, to be removed. */
  readonly notificationIds: string[];
}

export interface DeviceOf {
  readonly id: string;
  readonly uid: string;
  readonly token: string;
}

export interface Cast extends AsyncDisposable {
  readonly hub: TestHub;
  /** undefined: in the hub's folder. */
  readonly databaseUrl: string | undefined;
  readonly ours: string;
  readonly theirs: string;
  readonly people: Readonly<Record<PersonName, CastMember>>;
  readonly nobody: Readonly<Record<(typeof NOBODY)[number], string | undefined>>;
  /** A new device of the organisation. */
  addDevice(of: "ours" | "theirs"): Promise<DeviceOf>;
  /** In `ours`, for the guest to operate, and for the scoped one to read. */
  readonly granted: DeviceOf;
  /** Somebody new in `ours`. */
  addViewer(): Promise<{ id: string; email: string }>;
}

const ROLES: Readonly<Record<PersonName, Role | null>> = {
  owner: "owner",
  admin: "admin",
  operator: "operator",
  viewer: "viewer",
  guest: null,
  scoped: "owner",
  stranger: "owner",
  root: "owner",
};
const LOGINS = 40;
const NOTIFICATION = {
  to: "everybody",
  severity: "info",
  title: "Told",
  body: "",
  source: { kind: "system", id: "matrix" },
  correlationId: newId(),
} as const;
const SPARE_VIEWERS = 400;

/** A whole hub with two organisations and everybody who may come to it. */
export async function startCast(databaseUrl: string | undefined, env: Readonly<Record<string, string>> = {}): Promise<Cast> {
  await using stack = new AsyncDisposableStack();
  const dataDir = stack.use(temporaryFolder("matrix")).path;
  const made = new Map<PersonName, Omit<CastMember, "api">>();
  const nobody: Record<string, string | undefined> = {};
  const viewers: { id: string; email: string }[] = [];
  const ids = { home: "", ours: "", theirs: "" };
  {
    await using store = await openStore({ dataDir, databaseUrl });
    const { db } = store;
    const keys = await loadSigningKeys(db, await loadMasterKey(dataDir));
    for (const name of ["home", "ours", "theirs"] as const) ids[name] = (await createOrganization(db, { name })).id;
    for (const name of PEOPLE) {
      const organizationId = name === "root" ? ids.home : name === "stranger" ? ids.theirs : ids.ours;
      const email = `${name}@example.test`;
      const role = name === "root" ? "admin" : "user";
      const { id } = await createUser(db, { email, passwordHash: "none", role, memberRole: ROLES[name], organizationId });
      const { token } = await createAccessToken(db, keys, { kind: "personal", name, userId: id, organizationId });
      const loginIds: string[] = [];
      for (let count = 0; count < LOGINS; count++)
        loginIds.push((await openLogin(db, keys, { userId: id, ttlMs: 3_600_000 }, Date.now())).id);
      const notificationIds: string[] = [];
      for (let count = 0; count < LOGINS; count++)
        for (const { notification } of await putNotifications(db, { ...NOTIFICATION, organizationId }, [id], Date.now()))
          notificationIds.push(notification.id);
      made.set(name, { email, userId: id, token, loginIds, notificationIds });
    }
    const userId = made.get("owner")?.userId;
    const shared = { kind: "personal", userId, organizationId: ids.ours } as const;
    nobody["expired"] = (await createAccessToken(db, keys, { ...shared, name: "old", expiresAt: "2020-01-01T00:00:00.000Z" })).token;
    const revoked = await createAccessToken(db, keys, { ...shared, name: "revoked" });
    await revokeAccessToken(db, PLATFORM, revoked.id, Date.now());
    nobody["revoked"] = revoked.token;
    for (let count = 0; count < SPARE_VIEWERS; count++) {
      const email = `${newSecret("v")
        .toLowerCase()
        .replace(/[^a-z0-9]/g, "")}@example.test`;
      const { id } = await createUser(db, { email, passwordHash: "none", role: "user", memberRole: null, organizationId: ids.home });
      await addMember(db, ids.ours, id, "viewer");
      viewers.push({ id, email });
    }
  }
  const hub = stack.use(await startHub({ databaseUrl, dataDir, env }));
  const people = Object.fromEntries(
    PEOPLE.map((name) => {
      const api = new ApiClient(hub.http);
      const member = made.get(name) as Omit<CastMember, "api">;
      api.token = member.token;
      return [name, { ...member, api }];
    }),
  ) as Record<PersonName, CastMember>;
  const addDevice = (of: "ours" | "theirs"): Promise<DeviceOf> =>
    people[of === "ours" ? "owner" : "stranger"].api.addDevice({ name: `of ${of} ${newId()}` });
  const granted = await addDevice("ours");
  const given = await people.owner.api.call("POST", `/api/v1/organizations/${ids.ours}/grants`, {
    user_id: people.guest.userId,
    device: granted.uid,
    role: "operator",
  });
  if (given.status !== 200) throw new Error(`the grant answered ${given.status}: ${JSON.stringify(given.body)}`);
  const limited = await people.scoped.api.call<{ token: string }>("POST", "/api/v1/access-tokens", {
    kind: "personal",
    name: "limited",
    permissions: ["device.read"],
    devices: [granted.uid],
  });
  if (limited.status !== 201) throw new Error(`the limited token answered ${limited.status}: ${JSON.stringify(limited.body)}`);
  people.scoped.api.token = limited.body.token;
  people.scoped = { ...people.scoped, token: limited.body.token };
  const owned = stack.move();
  return {
    hub,
    databaseUrl,
    ours: ids.ours,
    theirs: ids.theirs,
    people,
    nobody: nobody as Cast["nobody"],
    addDevice,
    granted,
    async addViewer() {
      const viewer = viewers.pop();
      if (!viewer) throw new Error("the spare viewers are used up");
      return viewer;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
