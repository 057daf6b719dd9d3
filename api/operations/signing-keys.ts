import Type from "typebox";
import { KEY_PURPOSES, type KeyRecord, keyStateAt } from "../../core/signing-key.ts";
import { nullable } from "../fields.ts";
import { defineRoute } from "../route.ts";

const Purpose = Type.Enum([...KEY_PURPOSES], {
  description:
    "user_jwt signs the access tokens and cookies of people, device_jwt the JWTs of devices, token_hmac hashes all tokens that are no JWT",
});

const SigningKeyView = Type.Object(
  {
    kid: Type.String(),
    purpose: Purpose,
    state: Type.Enum(["next", "active", "retired"], {
      description: "next: every node has it before it signs; active: it signs; retired: it verifies what it signed",
    }),
    created_at: Type.String(),
    activates_at: Type.String(),
    retired_at: nullable("string", { description: "When its successor takes over" }),
  },
  { title: "SigningKey" },
);

function keyJson(key: KeyRecord, now: number): Record<string, unknown> {
  return {
    kid: key.kid,
    purpose: key.purpose,
    state: keyStateAt(key, now),
    created_at: new Date(key.createdAt).toISOString(),
    activates_at: new Date(key.activatesAt).toISOString(),
    retired_at: key.retiredAt === null ? null : new Date(key.retiredAt).toISOString(),
  };
}

export const list = defineRoute({
  method: "GET",
  path: "/api/v1/signing-keys",
  tag: "Operations",
  summary: "The keys that sign and hash tokens, never their secrets",
  description: "Those of the database; where JWT_SECRET is set that signs the tokens of people and devices, and these only verify.",
  access: "platform",
  replies: {
    200: { description: "Oldest first", schema: Type.Object({ data: Type.Array(SigningKeyView) }, { title: "SigningKeyList" }) },
  },
  async handler({ context }) {
    const keys = await context.keyRotation.list(context.store.db);
    return { status: 200, body: { data: keys.map((key) => keyJson(key, context.clock())) } };
  },
});

export const rotate = defineRoute({
  method: "POST",
  path: "/api/v1/signing-keys/rotate",
  tag: "Operations",
  summary: "Go on to another key",
  description:
    "It signs once every node knows it, a minute later. What was signed before stays valid until it ends, and the old key is removed after that; that of the hashes stays.",
  access: "platform",
  body: Type.Object({ purpose: Purpose }, { additionalProperties: false, title: "SigningKeyRotation" }),
  bodyExample: { purpose: "user_jwt" },
  replies: {
    202: {
      description: "The next key, and when it begins to sign",
      schema: Type.Object({ signing_key: SigningKeyView }, { title: "SigningKeyRotated" }),
    },
  },
  errors: ["conflict"],
  handler: ({ context, body, commit }) =>
    commit(async (db) => {
      const next = await context.keyRotation.rotate(db, body.purpose);
      const answer = keyJson(next, context.clock());
      return {
        answer: { status: 202, body: { signing_key: answer } },
        audit: [
          {
            organizationId: null,
            action: "signing_key.rotate",
            resourceType: "signing_key",
            resourceId: next.kid,
            details: { purpose: next.purpose, activates_at: answer["activates_at"] },
          },
        ],
        afterwards: () => context.keyRotation.changed(),
      };
    }),
});
