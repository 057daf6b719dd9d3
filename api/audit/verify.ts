import Type from "typebox";
import { actorOf } from "../../core/principal.ts";
import type { FaultKind } from "../../store/audit-links.ts";
import type { ChainReport } from "../../store/audit-verification.ts";
import { nullable } from "../fields.ts";
import { addressKey } from "../rate-limits.ts";
import { defineRoute } from "../route.ts";

const REASONS: Readonly<Record<FaultKind, string>> = {
  changed: "the row, its place or its organisation is not what was sealed",
  missing: "a row was taken out",
  inserted: "the row was never sealed here",
  cut_off: "rows were cut off at the end",
  head: "the chain's end or its beginning is not what the hub left",
  rewritten: "a signed checkpoint tells of another row: the chain was made anew",
  checkpoint: "a signed checkpoint was taken out, changed or added",
  key: "a checkpoint is signed with a key that this hub did not make",
};

/** More are summed up; those with a fault come first. */
const MAX_CHAINS = 1_000;

const Chain = Type.Object(
  {
    organization_id: nullable("string", { description: "null for the hub's own chain" }),
    checked: Type.Integer({ description: "Rows that are right, from the first one on" }),
    waiting: Type.Integer({ description: "Rows that are not sealed yet" }),
    last_seq: Type.Integer({ description: "The last row that is right" }),
    last_hash: Type.String({ description: "Its hash. Kept elsewhere, it shows whether all of the database was set back" }),
    checkpoint: Type.Unsafe<unknown>({
      anyOf: [
        Type.Object({ number: Type.Integer(), seq: Type.Integer(), ts: Type.String() }, { title: "AuditCheckpointReached" }),
        { type: "null" },
      ],
      description: "The newest signed checkpoint that the rows agree with. Rows behind its seq are proven by the chain alone",
    }),
    fault: Type.Unsafe<unknown>({
      anyOf: [
        Type.Object(
          {
            kind: Type.Enum(Object.keys(REASONS) as FaultKind[]),
            id: nullable("string", { description: "The first bad row; null for one that is not there" }),
            seq: Type.Integer({ description: "Of a checkpoint that is not right: the first row that is not proven by one" }),
            reason: Type.String(),
          },
          { title: "AuditFault" },
        ),
        { type: "null" },
      ],
    }),
  },
  { title: "AuditChain" },
);

export const verify = defineRoute({
  method: "GET",
  path: "/api/v1/audit/verify",
  tag: "Audit",
  summary: "Whether the audit is what was written",
  description:
    "Reads your organisation's chain from its beginning, and holds it against its signed checkpoints; for an administrator of the hub all chains. It takes about 10 s for a million rows.",
  access: "audit.read",
  replies: {
    200: {
      description: "What was found",
      schema: Type.Object(
        {
          intact: Type.Boolean(),
          checked: Type.Integer(),
          waiting: Type.Integer(),
          chain_count: Type.Integer(),
          chains: Type.Array(Chain, { maxItems: MAX_CHAINS, description: "Those with a fault first" }),
        },
        { title: "AuditVerification" },
      ),
    },
  },
  async handler({ context, principal, scope, requestId, caller }) {
    const chains = await context.auditChains.verify(scope);
    for (const { organizationId, fault } of chains)
      if (fault)
        context.security.note({
          action: "audit.fault",
          actor: actorOf(principal),
          organizationId,
          resource: { resourceType: "audit", resourceId: fault.id },
          source: addressKey(caller.address),
          details: { ...fault },
          requestId,
        });
    const sum = (count: (chain: ChainReport) => number): number => chains.reduce((total, chain) => total + count(chain), 0);
    return {
      status: 200,
      body: {
        intact: chains.every(({ fault }) => fault === null),
        checked: sum(({ checked }) => checked),
        waiting: sum(({ waiting }) => waiting),
        chain_count: chains.length,
        chains: chains
          .toSorted((a, b) => Number(a.fault === null) - Number(b.fault === null))
          .slice(0, MAX_CHAINS)
          .map(chainJson),
      },
    };
  },
});

const chainJson = ({ organizationId, checked, waiting, lastSeq, lastHash, checkpoint, fault }: ChainReport) => ({
  organization_id: organizationId,
  checked,
  waiting,
  last_seq: lastSeq,
  last_hash: lastHash,
  checkpoint: checkpoint && { number: checkpoint.number, seq: checkpoint.seq, ts: checkpoint.ts },
  fault: fault && { ...fault, reason: REASONS[fault.kind] },
});
