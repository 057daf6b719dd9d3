import Type from "typebox";
import { type AuditKey, MAX_AUDIT_KEYS } from "../../store/audit-keys.ts";
import { nullable } from "../fields.ts";
import { defineRoute } from "../route.ts";

const AuditKeyView = Type.Object(
  {
    key_id: Type.String({ description: "The first 96 bits of the SHA-256 of its SPKI, in base64url" }),
    algorithm: Type.Literal("Ed25519"),
    public_key: Type.String({ description: "PEM" }),
    created_at: Type.String(),
    retired_at: nullable("string", { description: "Since then nothing can be signed with it; what was stays provable" }),
  },
  { title: "AuditKey" },
);

const keyJson = ({ keyId, publicKey, createdAt, retiredAt }: AuditKey) => ({
  key_id: keyId,
  algorithm: "Ed25519",
  public_key: publicKey,
  created_at: createdAt,
  retired_at: retiredAt,
});

export const list = defineRoute({
  method: "GET",
  path: "/api/v1/audit/keys",
  tag: "Audit",
  summary: "The public keys of the audit's checkpoints",
  access: "audit.read",
  replies: {
    200: {
      description: "Oldest first; the last one signs",
      schema: Type.Object({ data: Type.Array(AuditKeyView, { maxItems: MAX_AUDIT_KEYS }) }, { title: "AuditKeyList" }),
    },
  },
  async handler({ context }) {
    return { status: 200, body: { data: (await context.auditKeys.list()).map(keyJson) } };
  },
});

export const rotate = defineRoute({
  method: "POST",
  path: "/api/v1/audit/keys/rotate",
  tag: "Audit",
  summary: "Sign with another key from now on",
  description:
    "The private part of the one before it is destroyed. Tell whoever keeps checkpoints the new public key by another way than this one.",
  access: "platform",
  replies: {
    201: { description: "The new key", schema: Type.Object({ audit_key: AuditKeyView }, { title: "AuditKeyRotated" }) },
  },
  errors: ["conflict"],
  handler: ({ context, commit }) =>
    commit(async (db) => {
      const key = keyJson(await context.auditKeys.rotate(db, context.clock()));
      return {
        answer: { status: 201, body: { audit_key: key } },
        audit: [
          {
            organizationId: null,
            action: "audit.rotate_key",
            resourceType: "audit_key",
            resourceId: key.key_id,
            details: { public_key: key.public_key },
          },
        ],
      };
    }),
});
