import { readFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { type AuditFileCheck, AuditLine, createAuditFileCheck, type FileFault, type FileReport } from "../../core/audit-file.ts";
import { publicKeysOf, SignedCheckpoint } from "../../core/audit-statement.ts";
import { HubError } from "../../core/errors.ts";
import { parserFor } from "../../core/validate.ts";
import { CliError, EXIT } from "./exit.ts";
import type { Session } from "./session.ts";
import { table } from "./terminal.ts";

export interface AuditFiles {
  /** NDJSON of an export. */
  readonly file: string;
  /** One checkpoint a line, or answers of the hub's list. */
  readonly checkpoints: string;
  /** PEM */
  readonly key: string;
  readonly isPart: boolean;
}

/** Verifies an export without a hub. Throws {@link CliError} where it is not what was signed, or a file cannot be read. */
export async function verifyAuditFile(session: Session, { file, checkpoints, key, isPart }: AuditFiles): Promise<void> {
  const check = createAuditFileCheck({ checkpoints: readCheckpoints(checkpoints), keys: readKeys(key), isPart });
  await readLines(file, check);
  const report = check.end();
  session.print(reportJson(report), () => textOf(report));
  const { faults, faultCount } = report;
  if (faultCount === 0) return;
  const more = faultCount > faults.length ? [`and ${faultCount - faults.length} more`] : [];
  throw new CliError(EXIT.failed, "audit_fault", "the file is not what the hub has signed", {
    mend: [...faults.map(faultText), ...more].join("\n"),
  });
}

const parseLine = parserFor(AuditLine);
const parseCheckpoint = parserFor(SignedCheckpoint);

async function readLines(path: string, check: AuditFileCheck): Promise<void> {
  let number = 0;
  try {
    await using handle = await open(path);
    for await (const text of handle.readLines()) {
      number++;
      if (text !== "") check.add(parseLine(JSON.parse(text)));
    }
  } catch (error) {
    throw unreadable(path, error, number);
  }
}

function readCheckpoints(path: string): SignedCheckpoint[] {
  let number = 0;
  try {
    return readFileSync(path, "utf8")
      .split("\n")
      .flatMap((text) => {
        number++;
        return text.trim() === "" ? [] : checkpointsOf(JSON.parse(text));
      });
  } catch (error) {
    throw unreadable(path, error, number);
  }
}

function checkpointsOf(value: unknown): SignedCheckpoint[] {
  const isPage = typeof value === "object" && value !== null && "data" in value && Array.isArray(value.data);
  return (isPage ? (value.data as unknown[]) : [value]).map((one) => parseCheckpoint(one));
}

function readKeys(path: string) {
  try {
    const keys = publicKeysOf(readFileSync(path, "utf8"));
    if (keys.size > 0) return keys;
  } catch (error) {
    throw unreadable(path, error, 0);
  }
  throw new CliError(EXIT.usage, "no_key", `${path} holds no public key`, { mend: "`npx hexahub audit keys` prints those of the hub" });
}

function unreadable(path: string, error: unknown, line: number): CliError {
  const why = error instanceof Error ? error.message : String(error);
  const isContent = error instanceof SyntaxError || error instanceof HubError;
  return new CliError(isContent ? EXIT.failed : EXIT.usage, "unreadable", `${path}${isContent ? `, line ${line}` : ""}: ${why}`, {
    cause: error,
  });
}

const nameOf = (organizationId: string | null): string => organizationId ?? "the hub";

const textOf = ({ chains }: FileReport): string =>
  table(
    ["chain", "proven", "up to row", "not signed"],
    chains.map(({ organizationId, proven, lastSeq, unproven }) => [
      nameOf(organizationId),
      String(proven),
      String(lastSeq),
      String(unproven),
    ]),
    "there is nothing in the file",
  );

const faultText = ({ organizationId, from, to, reason }: FileFault): string =>
  `${nameOf(organizationId)}: ${from === to ? `row ${from}` : `rows ${from} to ${to}`}: ${reason}`;

const reportJson = ({ chains, faults, faultCount }: FileReport) => ({
  intact: faultCount === 0,
  chains: chains.map(({ organizationId, proven, unproven, lastSeq }) => ({
    organization_id: organizationId,
    proven,
    unproven,
    last_seq: lastSeq,
  })),
  fault_count: faultCount,
  faults: faults.map(({ organizationId, from, to, reason }) => ({ organization_id: organizationId, from, to, reason })),
});
