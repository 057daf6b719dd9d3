import type { Command } from "commander";
import { verifyAuditFile } from "./audit-file.ts";
import { CliError, EXIT } from "./exit.ts";
import { type AuditVerification, parseAuditKeys, parseAuditVerification, parseCheckpointPage, parseRotatedAuditKey } from "./replies.ts";
import type { Session } from "./session.ts";
import { table } from "./terminal.ts";

const PATH = "/api/v1/audit";
/** Tens of millions of rows. */
const VERIFY_TIMEOUT_MS = 280_000;
const SIGN_TIMEOUT_MS = 120_000;
const PAGE = 500;

export function addAuditCommands(program: Command, session: Session): void {
  const audit = program.command("audit").description("the record of who did what");
  addVerify(audit, session);
  addCheckpoints(audit, session);
  addKeys(audit, session);
}

interface VerifyOptions {
  readonly file?: string;
  readonly checkpoints?: string;
  readonly key?: string;
  readonly part: boolean;
}

function addVerify(audit: Command, session: Session): void {
  audit
    .command("verify")
    .description("read the audit's chains from their beginning, and name the first row of each that is not what was written")
    .option("--file <path>", "an export (NDJSON) instead of a hub's database: no hub is asked")
    .option("--checkpoints <path>", "the signed checkpoints to hold it against")
    .option("--key <path>", "the public keys (PEM) that you trust")
    .option("--part", "the file is a time frame of the audit", false)
    .action(async ({ file, checkpoints, key, part }: VerifyOptions) => {
      if (file === undefined && checkpoints === undefined && key === undefined && !part) return await verifyHub(session);
      if (file === undefined || checkpoints === undefined || key === undefined)
        throw new CliError(EXIT.usage, "usage", "a file is verified with --file, --checkpoints and --key together");
      await verifyAuditFile(session, { file, checkpoints, key, isPart: part });
    });
}

async function verifyHub(session: Session): Promise<void> {
  const answer = await (await session.hub()).request("GET", `${PATH}/verify`, { timeoutMs: VERIFY_TIMEOUT_MS });
  const found = parseAuditVerification(answer);
  session.print(answer, () => textOf(found));
  const bad = found.chains.filter(({ fault }) => fault !== null);
  if (bad.length > 0)
    throw new CliError(EXIT.failed, "audit_fault", "the audit is not what the hub has written", { mend: bad.map(faultText).join("\n") });
}

function addCheckpoints(audit: Command, session: Session): void {
  audit
    .command("checkpoints")
    .description("the signed checkpoints, one JSON object a line, newest first: keep them where the hub cannot reach")
    .option("--sign", "sign what was written up to now before", false)
    .action(async ({ sign }: { sign: boolean }) => {
      const hub = await session.hub();
      if (sign) await hub.request("POST", `${PATH}/checkpoints`, { timeoutMs: SIGN_TIMEOUT_MS });
      for (let cursor: string | null = ""; cursor !== null; ) {
        const query = cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`;
        const page = parseCheckpointPage(await hub.request("GET", `${PATH}/checkpoints?limit=${PAGE}${query}`));
        for (const one of page.data) session.terminal.stdout.write(`${JSON.stringify(one)}\n`);
        cursor = page.next_cursor;
      }
    });
}

function addKeys(audit: Command, session: Session): void {
  const keys = audit.command("keys").description("the keys that checkpoints are signed with");
  keys
    .command("list", { isDefault: true })
    .description("the public keys (PEM), oldest first")
    .action(async () => {
      const answer = await (await session.hub()).request("GET", `${PATH}/keys`);
      session.print(answer, () =>
        parseAuditKeys(answer)
          .data.map(
            ({ key_id, public_key, created_at, retired_at }) =>
              `# ${key_id}, from ${created_at} to ${retired_at ?? "now"}\n${public_key.trimEnd()}`,
          )
          .join("\n"),
      );
    });
  keys
    .command("rotate")
    .description("sign with another key from now on; what was signed stays provable")
    .action(async () => {
      const answer = await (await session.hub()).request("POST", `${PATH}/keys/rotate`);
      session.print(answer, () => parseRotatedAuditKey(answer).audit_key.public_key.trimEnd());
    });
}

type Chain = AuditVerification["chains"][number];

const nameOf = ({ organization_id: organization }: Chain): string => (organization === null ? "the hub" : organization);

function textOf({ chains, chain_count: count, checked, waiting }: AuditVerification): string {
  const rows = chains.map((chain) => [
    nameOf(chain),
    String(chain.checked),
    chain.checkpoint ? String(chain.checkpoint.seq) : "-",
    String(chain.waiting),
    chain.fault === null ? "intact" : `bad at ${chain.fault.seq}`,
  ]);
  const more = count > chains.length ? [`and ${count - chains.length} chains more, all of them intact`] : [];
  return [
    table(["chain", "checked", "signed up to", "not sealed yet", "result"], rows, "there is no audit yet"),
    ...more,
    `${checked} rows are right, ${waiting} wait to be sealed`,
  ].join("\n");
}

function faultText(chain: Chain): string {
  const { fault } = chain;
  if (!fault) return "";
  return `${nameOf(chain)}: row ${fault.seq}${fault.id === null ? "" : ` (${fault.id})`}: ${fault.reason}`;
}
