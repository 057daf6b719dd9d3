import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { newId } from "../../core/id.ts";
import { addMember } from "../../store/members.ts";
import { engineOf, rowsOf } from "../../store/sql.ts";
import { inTransaction } from "../../store/transaction.ts";
import { setPassword } from "../../store/user-changes.ts";
import { databases } from "../support/databases.ts";
import { until } from "../support/wait.ts";
import { type Answered, field, startTestApi, type TestApi } from "./test-api.ts";

const PASSWORD = "correct horse battery";
type Person = Awaited<ReturnType<TestApi["member"]>>;
type Work = () => Promise<Answered>;
/** A row that a transaction of the test holds until both works wait, for it or for each other. */
interface Gate {
  readonly table: string;
  readonly where: Record<string, string>;
}

interface Place {
  readonly hub: TestApi;
  readonly ask: (who: { token: string }, method: string, path: string, body?: object) => Work;
  readonly remove: (who: { token: string }) => Work;
  /** An owner with a password, alone in an organisation. */
  readonly person: (role?: "admin" | "user") => Promise<Person>;
  /** Both orders, each with what `prepare` makes. */
  readonly inBothOrders: (prepare: () => Promise<Scene>) => Promise<void>;
}
interface Scene {
  readonly gate: Gate;
  readonly works: readonly [Work, Work];
  /** What has come of it. */
  readonly check?: () => Promise<void>;
}

for (const { name, skip, open } of databases()) {
  describe(`a person goes while something else is done, on ${name}`, { skip }, () => {
    async function inPlace(work: (place: Place) => Promise<void>): Promise<void> {
      await using database = await open();
      await using hub = await startTestApi({}, database.url);
      const hash = await hub.context.passwords.hash(PASSWORD);
      // The hub's first organisation and an administrator stay.
      await hub.member("admin");
      const ask: Place["ask"] =
        ({ token }, method, path, body) =>
        () =>
          hub.ask(method, `/api/v1${path}`, { token, body });
      await work({
        hub,
        ask,
        remove: (who) => ask(who, "DELETE", "/auth/me", { password: PASSWORD }),
        async person(role = "user") {
          const member = await hub.member(role);
          assert.ok(await setPassword(hub.context.store.db, member.userId, hash));
          return member;
        },
        async inBothOrders(prepare) {
          for (const isTurned of [false, true]) {
            const { gate, works, check } = await prepare();
            const answers = await behind(hub, gate, isTurned ? works.toReversed() : works);
            for (const { status, text } of answers) assert.ok(status < 500, `${isTurned ? "turned: " : ""}${text}`);
            await check?.();
          }
          assert.deepEqual(
            hub.logged.filter(({ level }) => level === "error"),
            [],
          );
        },
      });
    }

    const invite = async (hub: TestApi, by: Person, email: string) =>
      field(
        await hub.ask("POST", `/api/v1/organizations/${by.organizationId}/invitations`, {
          token: by.token,
          body: { email, role: "viewer" },
        }),
        "token",
      );
    const emailOf = async (hub: TestApi, { token }: Person) =>
      ((await hub.ask("GET", "/api/v1/auth/me", { token })).json["user"] as { email: string }).email;
    const organization = ({ organizationId }: Person): Gate => ({ table: "organizations", where: { id: organizationId } });

    test("somebody makes an account by their invitation", async () => {
      await inPlace(async ({ hub, person, remove, inBothOrders }) => {
        await inBothOrders(async () => {
          const giver = await person();
          const token = await invite(hub, giver, `${newId()}@example.org`);
          const register = () => hub.ask("POST", "/api/v1/invitations/register", { body: { token, password: PASSWORD } });
          return { gate: organization(giver), works: [remove(giver), register] };
        });
      });
    });

    test("another administrator accepts their invitation, or they accept somebody's", async () => {
      await inPlace(async ({ hub, ask, person, remove, inBothOrders }) => {
        await inBothOrders(async () => {
          const [giver, other] = [await person("admin"), await person("admin")];
          const token = await invite(hub, giver, await emailOf(hub, other));
          return { gate: organization(giver), works: [remove(giver), ask(other, "POST", "/invitations/accept", { token })] };
        });
        await inBothOrders(async () => {
          const [giver, other] = [await person(), await person()];
          const token = await invite(hub, giver, await emailOf(hub, other));
          return { gate: organization(giver), works: [remove(other), ask(other, "POST", "/invitations/accept", { token })] };
        });
      });
    });

    test("they are taken out of an organisation, or come to lead a project there", async () => {
      await inPlace(async ({ hub, ask, person, remove, inBothOrders }) => {
        const { db } = hub.context.store;
        const joined = async () => {
          const [owner, guest] = [await person(), await person()];
          await addMember(db, owner.organizationId, guest.userId, "owner");
          return { owner, guest };
        };
        await inBothOrders(async () => {
          const { owner, guest } = await joined();
          const chosen = { user_id: guest.userId, organization_id: owner.organizationId };
          await db("logins").where({ user_id: guest.userId }).update({ organization_id: owner.organizationId });
          const take = ask(owner, "DELETE", `/organizations/${owner.organizationId}/members/${guest.userId}`);
          return { gate: { table: "memberships", where: chosen }, works: [take, remove(guest)] };
        });
        await inBothOrders(async () => {
          const { owner, guest } = await joined();
          const made = await ask(owner, "POST", "/projects", { name: "Garden" })();
          const { id } = made.json["project"] as { id: string };
          return {
            gate: organization(owner),
            works: [ask(owner, "PATCH", `/projects/${id}`, { project_lead_id: guest.userId }), remove(guest)],
          };
        });
      });
    });

    test("their login goes on, or acts elsewhere", async () => {
      await inPlace(async ({ hub, ask, person, remove, inBothOrders }) => {
        await inBothOrders(async () => {
          const ada = await person();
          const login = await hub.ask("POST", "/api/v1/auth/login", { body: { email: await emailOf(hub, ada), password: PASSWORD } });
          const refresh = () => hub.ask("POST", "/api/v1/auth/refresh", { body: { refresh_token: field(login, "refresh_token") } });
          return { gate: { table: "logins", where: { user_id: ada.userId } }, works: [remove(ada), refresh] };
        });
        await inBothOrders(async () => {
          const ada = await person();
          const choose = ask(ada, "POST", "/auth/organization", { organization_id: ada.organizationId });
          return { gate: organization(ada), works: [remove(ada), choose] };
        });
      });
    });

    test("who becomes an owner is not demoted by an administrator who saw them as less", async () => {
      await inPlace(async ({ hub, ask, person, inBothOrders }) => {
        const { db } = hub.context.store;
        const wins: string[] = [];
        for (const method of ["PATCH", "DELETE"])
          await inBothOrders(async () => {
            const [owner, admin, member] = [await person(), await person(), await person()];
            const { organizationId } = owner;
            await addMember(db, organizationId, admin.userId, "admin");
            await addMember(db, organizationId, member.userId, "viewer");
            await db("logins").where({ user_id: admin.userId }).update({ organization_id: organizationId });
            const path = `/organizations/${organizationId}/members/${member.userId}`;
            const raise = ask(owner, "PATCH", path, { role: "owner" });
            const lower = ask(admin, method, path, method === "PATCH" ? { role: null } : undefined);
            const chosen = { user_id: member.userId, organization_id: organizationId };
            return {
              gate: organization(owner),
              works: [raise, lower],
              async check() {
                const rows = (await db("memberships").where(chosen)) as { role: string | null }[];
                // Or they were out of it before anybody raised them.
                assert.ok(rows.length === 0 || rows[0]?.role === "owner", JSON.stringify(rows));
                assert.equal(method === "PATCH" && rows.length === 0, false);
                wins.push(rows.length === 0 ? "lowered" : "raised");
              },
            };
          });
        assert.ok(wins.includes("raised"));
      });
    });

    for (const [path, bodyOf] of [
      ["devices", async () => ({ name: "Lamp", device_class: "ir_hub" })],
      ["devices/claim", async (hub) => ({ claim_code: await waitingDevice(hub) })],
      ["sites", async () => ({ name: "Villa", time_zone: "UTC" })],
      ["access-tokens", async () => ({ kind: "personal", name: "laptop" })],
      ["access-tokens", async () => ({ kind: "service", name: `s-${newId()}` })],
      ["contacts", async () => ({ name: "Grace" })],
      ["organizations/:own/invitations", async () => ({ email: `${newId()}@example.org`, role: "viewer" })],
    ] as readonly [string, (hub: TestApi) => Promise<object>][])
      test(`they make something: ${path}`, async () => {
        await inPlace(async ({ hub, ask, person, remove, inBothOrders }) => {
          await inBothOrders(async () => {
            const ada = await person();
            const make = ask(ada, "POST", `/${path.replace(":own", ada.organizationId)}`, await bodyOf(hub));
            return { gate: organization(ada), works: [remove(ada), make] };
          });
        });
      });
  });
}

/** The claim code of a device that belongs to nobody. */
async function waitingDevice(hub: TestApi): Promise<string> {
  const owner = await hub.member();
  const made = await hub.ask("POST", "/api/v1/devices", { token: owner.token, body: { name: "Lamp", device_class: "ir_hub" } });
  const { id } = made.json["device"] as { id: string };
  return field(await hub.ask("POST", `/api/v1/devices/${id}/release`, { token: owner.token }), "claim_code");
}

/** One begins after the other, and both go on at once. SQLite has one writer, and nothing to wait for but it. */
async function behind(hub: TestApi, { table, where }: Gate, works: readonly Work[]): Promise<Answered[]> {
  const { db } = hub.context.store;
  if (engineOf(db) === "sqlite") return await Promise.all(works.map((work) => work()));
  const running: { isOver: boolean; answer: Promise<Answered> }[] = [];
  await inTransaction(db, async (trx) => {
    await trx(table).where(where).forUpdate().select();
    for (const work of works) {
      const one = { isOver: false, answer: work().finally(() => (one.isOver = true)) };
      running.push(one);
      const haveStopped = async () => {
        const waiting = await rowsOf(db, "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'");
        return running.filter(({ isOver }) => !isOver).length <= waiting.length;
      };
      await until(haveStopped, { what: "a request that waits or is answered" });
    }
  });
  return await Promise.all(running.map(({ answer }) => answer));
}
