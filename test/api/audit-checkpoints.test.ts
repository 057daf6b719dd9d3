import assert from "node:assert/strict";
import { generateKeyPairSync, sign as signWith } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { AuditLine, createAuditFileCheck, type FileReport } from "../../core/audit-file.ts";
import { keyIdOf, publicKeysOf, type SignedCheckpoint } from "../../core/audit-statement.ts";
import { canonicalJson } from "../../core/canonical-json.ts";
import { parserFor } from "../../core/validate.ts";
import { hexahub } from "../cli/command-line.ts";
import { writeAudit } from "../store/audit-rows.ts";
import { databases } from "../support/databases.ts";
import { temporaryFolder } from "../support/wait.ts";
import { assertEnvelope, startTestApi, type TestApi } from "./test-api.ts";

interface Place {
  readonly hub: TestApi;
  readonly root: { token: string };
  readonly owner: { token: string; userId: string; organizationId: string };
  readonly sign: () => Promise<Record<string, unknown>>;
}

/** What an auditor has: an export, the checkpoints and the public keys. */
interface Evidence {
  lines: AuditLine[];
  checkpoints: SignedCheckpoint[];
  pem: string;
  isPart: boolean;
}

const parseLine = parserFor(AuditLine);

for (const { name, skip, open } of databases()) {
  describe(`the audit's checkpoints on ${name}`, { skip }, () => {
    async function inPlace(work: (place: Place) => Promise<void>): Promise<void> {
      await using database = await open();
      await using hub = await startTestApi({}, database.url);
      const root = await hub.member("admin");
      const sign = async () => {
        const answer = await hub.ask("POST", "/api/v1/audit/checkpoints", { token: root.token });
        assert.equal(answer.status, 200, answer.text);
        return answer.json;
      };
      await work({ hub, root, owner: await hub.member(), sign });
    }

    async function evidenceOf({ hub, owner }: Place, token = owner.token): Promise<Evidence> {
      const file = await hub.ask("GET", "/api/v1/audit/export", { token });
      const listed = await hub.ask("GET", "/api/v1/audit/checkpoints?limit=500", { token });
      const keys = await hub.ask("GET", "/api/v1/audit/keys", { token });
      return {
        lines: file.text
          .trimEnd()
          .split("\n")
          .map((text) => parseLine(JSON.parse(text))),
        checkpoints: listed.json["data"] as SignedCheckpoint[],
        pem: (keys.json["data"] as { public_key: string }[]).map(({ public_key }) => public_key).join(""),
        isPart: false,
      };
    }

    /** Three checkpoints of the owner's chain, up to its rows 4, 9 and 12, and what was written since. */
    async function signedThrice({ hub, owner, sign }: Place): Promise<void> {
      for (const count of [4, 5, 3]) {
        await writeAudit(hub.context.store.db, owner.organizationId, count);
        await sign();
      }
      await writeAudit(hub.context.store.db, owner.organizationId, 2);
    }

    test("are listed newest first, for one's own organisation, and the newest stands by itself", async () => {
      await inPlace(async (place) => {
        const { hub, root, owner } = place;
        const path = "/api/v1/audit/checkpoints";
        assert.deepEqual((await hub.ask("GET", `${path}/newest`, { token: owner.token })).json, { checkpoint: null });
        await signedThrice(place);
        const own = await hub.ask("GET", `${path}?limit=2`, { token: owner.token });
        const numbersOf = (json: Record<string, unknown>) => (json["data"] as SignedCheckpoint[]).map(({ statement }) => statement.number);
        assert.deepEqual(numbersOf(own.json), [3, 2]);
        const rest = await hub.ask("GET", `${path}?limit=2&cursor=${String(own.json["next_cursor"])}`, { token: owner.token });
        assert.deepEqual([numbersOf(rest.json), rest.json["next_cursor"]], [[1], null]);
        const newest = await hub.ask("GET", `${path}/newest`, { token: owner.token });
        assert.deepEqual(newest.json["checkpoint"], (own.json["data"] as unknown[])[0]);
        const stranger = await hub.member();
        assert.deepEqual((await hub.ask("GET", path, { token: stranger.token })).json["data"], []);
        const foreign = await hub.ask("GET", `${path}?chain=${owner.organizationId}`, { token: stranger.token });
        assert.deepEqual(foreign.json["data"], []);
        const hubs = await hub.ask("GET", `${path}?chain=hub`, { token: root.token });
        assert.ok((hubs.json["data"] as SignedCheckpoint[]).every(({ statement }) => statement.organization_id === null));
        assertEnvelope(await hub.ask("GET", `${path}?chain=other`, { token: owner.token }), 400, "validation_error");
        assertEnvelope(await hub.ask("POST", path, { token: owner.token }), 403, "forbidden");
      });
    });

    test("are told by the verification, and keys are rotated by whoever administers the hub", async () => {
      await inPlace(async (place) => {
        const { hub, root, owner, sign } = place;
        await signedThrice(place);
        const rotated = await hub.ask("POST", "/api/v1/audit/keys/rotate", { token: root.token });
        assert.equal(rotated.status, 201, rotated.text);
        await sign();
        const { json } = await hub.ask("GET", "/api/v1/audit/verify", { token: owner.token });
        const [chain] = json["chains"] as { checkpoint: { number: number; seq: number }; checked: number }[];
        assert.deepEqual([json["intact"], chain?.checkpoint.number, chain?.checkpoint.seq, chain?.checked], [true, 4, 14, 14]);
        const keys = (await hub.ask("GET", "/api/v1/audit/keys", { token: owner.token })).json["data"] as { key_id: string }[];
        const answer = await hub.ask("GET", "/api/v1/audit/checkpoints/newest", { token: owner.token });
        const newest = answer.json["checkpoint"] as SignedCheckpoint;
        assert.deepEqual([keys.length, newest.statement.key_id], [2, keys[1]?.key_id]);
        assert.equal((rotated.json["audit_key"] as { key_id: string }).key_id, keys[1]?.key_id);
        const noted = await hub.ask("GET", "/api/v1/audit?action=audit.rotate_key", { token: root.token });
        assert.equal((noted.json["data"] as { resource_id: string }[])[0]?.resource_id, keys[1]?.key_id);
        assertEnvelope(await hub.ask("POST", "/api/v1/audit/keys/rotate", { token: owner.token }), 403, "forbidden");
      });
    });

    const check = ({ lines, checkpoints, pem, isPart }: Evidence): FileReport => {
      const file = createAuditFileCheck({ checkpoints, keys: publicKeysOf(pem), isPart });
      for (const line of lines) file.add(line);
      return file.end();
    };

    test("prove an export without the hub, in whatever order its rows are", async () => {
      await inPlace(async (place) => {
        await signedThrice(place);
        const evidence = await evidenceOf(place);
        const organizationId = place.owner.organizationId;
        const whole = [{ organizationId, proven: 12, unproven: evidence.lines.length - 12, lastSeq: 12 }];
        assert.deepEqual(check(evidence), { chains: whole, faults: [], faultCount: 0 });
        const shuffled = evidence.lines.toSorted((a, b) => (a.id.slice(-6) < b.id.slice(-6) ? -1 : 1));
        assert.deepEqual(check({ ...evidence, lines: shuffled, checkpoints: evidence.checkpoints.toReversed() }).chains, whole);
        const twice = check({ ...evidence, checkpoints: [...evidence.checkpoints, ...evidence.checkpoints] });
        assert.deepEqual(twice, { chains: whole, faults: [], faultCount: 0 });
        const all = check(await evidenceOf(place, place.root.token));
        assert.equal(all.faultCount, 0);
        assert.equal(all.chains.filter(({ proven }) => proven > 0).length, 2);
      });
    });

    const TAMPERING: readonly { readonly what: string; readonly act: (evidence: Evidence) => void; readonly found: readonly unknown[] }[] =
      [
        {
          what: "a row is changed",
          act: ({ lines }) => void Object.assign(at(lines, 6), { actor: { kind: "user", id: "somebody" } }),
          found: [5, 9, "one of these rows is not what was signed"],
        },
        {
          what: "a number in a row's details is changed",
          act: ({ lines }) => void Object.assign(at(lines, 6).details, { z: 1 }),
          found: [5, 9, "one of these rows is not what was signed"],
        },
        {
          what: "a row is removed",
          act: (evidence) => void (evidence.lines = evidence.lines.filter(({ chain_seq }) => chain_seq !== 6)),
          found: [6, 9, "rows are missing, from this one on"],
        },
        {
          what: "a row is removed and those behind it move up",
          act(evidence) {
            evidence.lines = evidence.lines.filter(({ chain_seq }) => chain_seq !== 6);
            for (const line of evidence.lines) if ((line.chain_seq ?? 0) > 6) line.chain_seq = (line.chain_seq ?? 0) - 1;
          },
          found: [9, 9, "its hash is not the one that was signed"],
        },
        {
          what: "a row is there twice",
          act: ({ lines }) => void lines.push(at(lines, 6)),
          found: [6, 6, "the row is there twice"],
        },
        {
          what: "a row is put before the first one",
          act: ({ lines }) => void lines.push({ ...at(lines, 6), chain_seq: 0 }),
          found: [0, 0, "the row was never sealed here"],
        },
        {
          what: "the end is cut off",
          act: (evidence) => void (evidence.lines = evidence.lines.filter(({ chain_seq }) => (chain_seq ?? 99) < 11)),
          found: [11, 12, "rows are missing, from this one on"],
        },
        {
          what: "a checkpoint in the middle is left out",
          act: (evidence) => void evidence.checkpoints.splice(1, 1),
          found: [10, 12, "a checkpoint is not among those given"],
        },
        {
          what: "the first checkpoint is left out",
          act: (evidence) => void evidence.checkpoints.pop(),
          found: [5, 9, "the first checkpoints are not among those given"],
        },
        {
          what: "a statement is changed",
          act: ({ checkpoints }) => void Object.assign(checkpoints[1]?.statement ?? {}, { ts: "2020-01-01T00:00:00.000Z" }),
          found: [5, 9, "the signature of a checkpoint is wrong"],
        },
        {
          what: "the key is another one",
          act: (evidence) =>
            void (evidence.pem = generateKeyPairSync("ed25519").publicKey.export({ type: "spki", format: "pem" }).toString()),
          found: [1, 4, "a checkpoint is signed with a key that is not among those given"],
        },
      ];

    for (const { what, act, found } of TAMPERING)
      test(`${what}: the file does not verify`, async () => {
        await inPlace(async (place) => {
          await signedThrice(place);
          const evidence = await evidenceOf(place);
          act(evidence);
          const [fault] = check(evidence).faults;
          assert.deepEqual([fault?.from, fault?.to, fault?.reason], found);
        });
      });

    test("two that tell different things of the same rows stand against each other", async () => {
      await inPlace(async (place) => {
        await signedThrice(place);
        const kept = await evidenceOf(place);
        const [last] = kept.checkpoints;
        assert.ok(last);
        const { key_id: _key, ...rest } = last.statement;
        const forger = forge({ ...rest, ts: "2027-01-01T00:00:00.000Z" });
        const report = check({ ...kept, checkpoints: [...kept.checkpoints, forger.checkpoint], pem: kept.pem + forger.pem });
        assert.match(report.faults[0]?.reason ?? "", /two checkpoints of the same number/);
      });
    });

    test("prove a time frame, but for the rows at its edges", async () => {
      await inPlace(async (place) => {
        await signedThrice(place);
        const { lines, ...rest } = await evidenceOf(place);
        const part = lines.filter(({ chain_seq }) => chain_seq !== null && chain_seq >= 3 && chain_seq <= 10);
        const report = check({ ...rest, lines: part, isPart: true });
        assert.deepEqual([report.faultCount, report.chains[0]?.proven, report.chains[0]?.unproven], [0, 5, 3]);
        const holed = check({ ...rest, lines: part.filter(({ chain_seq }) => chain_seq !== 7), isPart: true });
        assert.deepEqual([holed.faults[0]?.from, holed.faults[0]?.reason], [7, "rows are missing, from this one on"]);
      });
    });

    test("are verified by the command line from files alone", { timeout: 60_000 }, async () => {
      await inPlace(async (place) => {
        await signedThrice(place);
        const { lines, checkpoints, pem } = await evidenceOf(place);
        await using folder = temporaryFolder();
        const path = (file: string) => join(folder.path, file);
        const write = (rows: readonly unknown[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join("");
        await writeFile(path("checkpoints.ndjson"), write(checkpoints));
        await writeFile(path("key.pem"), `# a note\n${pem}`);
        await writeFile(path("audit.ndjson"), write(lines));
        const args = (file: string) => ["--file", path(file), "--checkpoints", path("checkpoints.ndjson"), "--key", path("key.pem")];
        const run = (...more: string[]) => hexahub(["audit", "verify", ...more], { env: { HEXA_DATA_DIR: folder.path } });
        const good = await run(...args("audit.ndjson"));
        assert.deepEqual([good.code, good.stderr], [0, ""]);
        assert.match(good.stdout, new RegExp(`${place.owner.organizationId} +12 +12 `));
        at(lines, 6).action = "something.else";
        await writeFile(path("changed.ndjson"), write(lines));
        const bad = await run(...args("changed.ndjson"), "--json");
        assert.equal(bad.code, 1);
        assert.deepEqual((JSON.parse(bad.stdout) as { faults: { from: number }[] }).faults[0]?.from, 5);
        assert.match(bad.stderr, /rows 5 to 9: one of these rows/);
        await writeFile(path("cut.ndjson"), write(lines).slice(0, -20));
        const cut = await run(...args("cut.ndjson"));
        assert.match(cut.stderr, new RegExp(`cut\\.ndjson, line ${lines.length}: `));
        assert.equal((await run("--file", path("audit.ndjson"))).code, 2);
        assert.equal((await run(...args("none.ndjson"))).code, 2);
      });
    });
  });
}

function at(lines: readonly AuditLine[], seq: number): AuditLine {
  return lines.find(({ chain_seq }) => chain_seq === seq) ?? assert.fail(`row ${seq} is not in the export`);
}

/** By somebody with a key that the auditor trusts too: a hub whose key was stolen. */
function forge(statement: Omit<SignedCheckpoint["statement"], "key_id">): { checkpoint: SignedCheckpoint; pem: string } {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const signed = { ...statement, key_id: keyIdOf(publicKey) };
  const signature = signWith(null, Buffer.from(canonicalJson(signed)), privateKey).toString("base64url");
  return { checkpoint: { statement: signed, signature }, pem: publicKey.export({ type: "spki", format: "pem" }).toString() };
}
