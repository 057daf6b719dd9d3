import Type from "typebox";
import { HUB_TOPICS } from "../../core/hub-topics.ts";
import { type EncryptionProgress, readProgress } from "../../store/encryption-rotation.ts";
import { nullable } from "../fields.ts";
import { defineRoute } from "../route.ts";

const EncryptionView = Type.Object(
  {
    state: Type.Enum(["idle", "rotating"]),
    key_id: nullable("string", { description: "Of the key that encrypts now; null before its first use" }),
    key_created_at: nullable("string"),
    total: Type.Integer({ description: "Encrypted texts: phone numbers and e-mail addresses of contacts" }),
    done: Type.Integer({ description: "Of these, under the key that encrypts now" }),
    unreadable: Type.Integer({ description: "Of these, under a former key, since nobody can read them" }),
  },
  { title: "Encryption" },
);

export const show = defineRoute({
  method: "GET",
  path: "/api/v1/encryption",
  tag: "Operations",
  summary: "Which key encrypts, and how far its change is",
  access: "platform",
  replies: { 200: { description: "The state", schema: EncryptionView } },
  handler: async ({ context }) => ({ status: 200, body: progressJson(await readProgress(context.store.db)) }),
});

export const rotate = defineRoute({
  method: "POST",
  path: "/api/v1/encryption/rotate",
  tag: "Operations",
  summary: "Change the key that encrypts contacts",
  description:
    "What is written from now on is under a new key, and what is there is encrypted again in the background; everything can be read meanwhile. `GET /api/v1/encryption` tells how far it is. At the end the former key is removed.",
  access: "platform",
  replies: { 202: { description: "It has begun", schema: EncryptionView } },
  errors: ["conflict"],
  handler: ({ context, commit }) =>
    commit(async (db) => {
      const { active, retiring } = await context.encryption.rotateKey(db, context.clock());
      return {
        answer: { status: 202, body: progressJson(await readProgress(db)) },
        audit: [
          { organizationId: null, action: "encryption.rotate", resourceType: "encryption_key", resourceId: active, details: { retiring } },
        ],
        afterwards: () => context.bus.publish({ topic: HUB_TOPICS.encryption, payload: "{}", qos: 1 }),
      };
    }),
});

function progressJson({ state, keyId, keyCreatedAt, total, done, unreadable }: EncryptionProgress): Record<string, unknown> {
  return { state, key_id: keyId, key_created_at: keyCreatedAt, total, done, unreadable };
}
