import type { Command } from "commander";
import { CliError, EXIT } from "./exit.ts";
import { type AuditVerification, parseAuditVerification } from "./replies.ts";
import type { Session } from "./session.ts";
import { table } from "./terminal.ts";

const PATH = "/api/v1/audit/verify";
/** Tens of millions of rows. */
const VERIFY_TIMEOUT_MS = 280_000;

export function addAuditCommands(program: Command, session: Session): void {
  program
    .command("audit")
    .description("the record of who did what")
    .command("verify")
    .description("read the audit's chains from their beginning, and name the first row of each that is not what was written")
    .action(async () => {
      const answer = await (await session.hub()).request("GET", PATH, { timeoutMs: VERIFY_TIMEOUT_MS });
      const found = parseAuditVerification(answer);
      session.print(answer, () => textOf(found));
      const bad = found.chains.filter(({ fault }) => fault !== null);
      if (bad.length > 0)
        throw new CliError(EXIT.failed, "audit_fault", "the audit is not what the hub has written", {
          mend: bad.map(faultText).join("\n"),
        });
    });
}

type Chain = AuditVerification["chains"][number];

const nameOf = ({ organization_id: organization }: Chain): string => (organization === null ? "the hub" : organization);

function textOf({ chains, chain_count: count, checked, waiting }: AuditVerification): string {
  const rows = chains.map((chain) => [
    nameOf(chain),
    String(chain.checked),
    String(chain.waiting),
    chain.fault === null ? "intact" : `bad at ${chain.fault.seq}`,
  ]);
  const more = count > chains.length ? [`and ${count - chains.length} chains more, all of them intact`] : [];
  return [
    table(["chain", "checked", "not sealed yet", "result"], rows, "there is no audit yet"),
    ...more,
    `${checked} rows are right, ${waiting} wait to be sealed`,
  ].join("\n");
}

function faultText(chain: Chain): string {
  const { fault } = chain;
  if (!fault) return "";
  return `${nameOf(chain)}: row ${fault.seq}${fault.id === null ? "" : ` (${fault.id})`}: ${fault.reason}`;
}
