import Type from "typebox";
import { newEvent } from "../../core/event.ts";
import { HubError } from "../../core/errors.ts";
import { actorOf } from "../../core/principal.ts";
import { issueDeviceJwt, issueDeviceToken, listCredentials, revokeCredentials } from "../../store/credentials.ts";
import type { ApiContext } from "../context.ts";
import { DeviceParams, nullable, Uuid } from "../fields.ts";
import { defineRoute } from "../route.ts";
import { deviceFor } from "./device-for.ts";
import { DEVICE_JWT_TTL_MS } from "./enrolment.ts";
import { TaskKeyFields, taskKeyJson } from "./task-key.ts";

const CredentialView = Type.Object(
  {
    id: Type.String({ description: "Also the JWT's jti" }),
    kind: Type.Enum(["token", "jwt", "certificate", "api_key"]),
    created_at: Type.String(),
    expires_at: nullable("string"),
    revoked_at: nullable("string"),
    last_used_at: nullable("string"),
  },
  { title: "Credential" },
);

export const credentials = defineRoute({
  method: "GET",
  path: "/api/v1/devices/:id/credentials",
  tag: "Devices",
  summary: "A device's credentials, never their secrets",
  access: "device.read",
  params: DeviceParams,
  replies: {
    200: {
      description: "All of them, revoked ones too",
      schema: Type.Object({ data: Type.Array(CredentialView) }, { title: "CredentialList" }),
    },
  },
  errors: ["not_found"],
  async handler({ context, rights, params }) {
    const { db } = context.store;
    const device = await deviceFor(rights, "device.read", db, params.id);
    const rows = await listCredentials(db, device.id);
    return {
      status: 200,
      body: {
        data: rows.map((row) => ({
          id: row.id,
          kind: row.kind,
          created_at: row.createdAt,
          expires_at: row.expiresAt,
          revoked_at: row.revokedAt,
          last_used_at: row.lastUsedAt,
        })),
      },
    };
  },
});

export const rotate = defineRoute({
  method: "POST",
  path: "/api/v1/devices/:id/rotate-token",
  tag: "Devices",
  summary: "Give a device new credentials",
  description: "All older ones are revoked and its session ends. The task key is told once more; `POST …/task-key` changes it.",
  access: "device.manage",
  params: DeviceParams,
  replies: {
    201: {
      description: "The new credentials, shown once",
      schema: Type.Object(
        {
          device_uid: Type.String(),
          device_token: Type.String(),
          device_jwt: Type.String(),
          device_jwt_expires_at: Type.String(),
          ...TaskKeyFields,
          revoked: Type.Array(Type.String()),
        },
        { title: "Rotated" },
      ),
    },
  },
  errors: ["not_found"],
  handler: ({ context, principal, rights, params, commit }) =>
    commit(async (db) => {
      const device = await deviceFor(rights, "device.manage", db, params.id);
      const revoked = await revokeCredentials(db, device.id, {}, context.clock());
      const { token } = await issueDeviceToken(db, context.keys, device.id);
      const { jwt, expiresAt } = await issueDeviceJwt(db, context.keys, device.id, DEVICE_JWT_TTL_MS);
      const taskKey = taskKeyJson(await context.taskKeys.taskKeyOf(db, device.id));
      const about = { organizationId: device.organizationId, entityId: device.id, actor: actorOf(principal), now: context.clock() };
      return {
        answer: {
          status: 201,
          body: { device_uid: device.uid, device_token: token, device_jwt: jwt, device_jwt_expires_at: expiresAt, ...taskKey, revoked },
        },
        audit: [
          {
            organizationId: device.organizationId,
            action: "device.rotate_credentials",
            resourceType: "device",
            resourceId: device.id,
            details: { uid: device.uid, revoked },
          },
        ],
        events: [newEvent("device.credential_rotated", about, { uid: device.uid })],
        afterwards: () => endSessions(context, device.id, revoked),
      };
    }),
});

export const revoke = defineRoute({
  method: "POST",
  path: "/api/v1/devices/:id/revoke",
  tag: "Devices",
  summary: "Revoke one credential of a device, or all",
  description: "Sessions that began with a revoked credential end at once.",
  access: "device.manage",
  params: DeviceParams,
  body: Type.Object({ credential_id: Type.Optional(Uuid) }, { additionalProperties: false, title: "RevokeRequest" }),
  replies: { 200: { description: "What was revoked", schema: Type.Object({ revoked: Type.Array(Type.String()) }, { title: "Revoked" }) } },
  errors: ["not_found"],
  handler: ({ context, principal, rights, params, body, commit }) =>
    commit(async (db) => {
      const device = await deviceFor(rights, "device.manage", db, params.id);
      const only = body.credential_id?.toLowerCase();
      const revoked = await revokeCredentials(db, device.id, only === undefined ? {} : { only }, context.clock());
      if (only !== undefined && revoked.length === 0)
        throw new HubError("not_found", "the device has no such credential that is still valid");
      const about = { organizationId: device.organizationId, entityId: device.id, actor: actorOf(principal), now: context.clock() };
      return {
        answer: { status: 200, body: { revoked } },
        audit: [
          {
            organizationId: device.organizationId,
            action: "device.revoke_credentials",
            resourceType: "device",
            resourceId: device.id,
            details: { uid: device.uid, revoked },
          },
        ],
        events: revoked.map((id) => newEvent("device.credential_revoked", about, { uid: device.uid, credential_id: id })),
        afterwards: () => endSessions(context, device.id, revoked),
      };
    }),
});

async function endSessions({ sessions }: Pick<ApiContext, "sessions">, deviceId: string, revoked: readonly string[]): Promise<void> {
  await sessions.disconnect({ deviceId, credentialIds: revoked }, "revoked");
}
