import Type, { type Static } from "typebox";
import { Capabilities, defaultCapabilities, DeviceClass } from "../../core/device.ts";
import { HubError } from "../../core/errors.ts";
import { newEvent } from "../../core/event.ts";
import { newClaimCode } from "../../core/id.ts";
import { type Actor, actorOf } from "../../core/principal.ts";
import { issueDeviceJwt, issueDeviceToken } from "../../store/credentials.ts";
import { createDevice, findDeviceBySerial } from "../../store/devices.ts";
import type { Db } from "../../store/open.ts";
import type { ApiContext } from "../context.ts";
import { line } from "../fields.ts";
import { defineRoute, type Effect } from "../route.ts";
import { ConnectionFields, connectionJson, deviceJson, DeviceView, TopicsView, topicsJson } from "./representation.ts";
import { TaskKeyFields, taskKeyJson } from "./task-key.ts";

/** A device holds on to its JWT while it is on a shelf; the token has no end. */
export const DEVICE_JWT_TTL_MS = 365 * 86_400_000;

const EnrolRequest = Type.Object(
  {
    name: line(120),
    device_class: DeviceClass,
    serial_number: Type.Optional(line(64)),
    model: Type.Optional(line(128)),
    capabilities: Type.Optional(Capabilities),
  },
  { additionalProperties: false, title: "EnrolRequest" },
);
type EnrolRequest = Static<typeof EnrolRequest>;

const EXAMPLE: EnrolRequest = {
  name: "Hall relay",
  device_class: "relay_controller",
  serial_number: "HX-000123",
  model: "HX-R4",
  capabilities: { relays: 4 },
};

const CredentialFields = {
  device_token: Type.String({ description: "Shown once. The MQTT password, and the bearer token of the device's HTTP calls" }),
  device_jwt: Type.String({ description: "The same as a JWT with an end" }),
  device_jwt_expires_at: Type.String(),
  ...TaskKeyFields,
};

const Enrolled = Type.Object(
  { device: DeviceView, device_uid: Type.String(), ...CredentialFields, ...ConnectionFields, topics: TopicsView },
  { title: "Enrolled" },
);

const Registered = Type.Object(
  {
    device_uid: Type.String({ description: "MQTT client id and username" }),
    ...CredentialFields,
    ...ConnectionFields,
    claim_code: Type.String({ description: "What a person types to claim the device" }),
    topics: TopicsView,
  },
  { title: "Registered" },
);

export const registerDevice = defineRoute({
  method: "POST",
  path: "/api/v1/provision/register",
  tag: "Provisioning",
  summary: "A device enrols itself",
  description:
    "The device belongs to nobody until its claim code is used. Send an idempotency key: a repeated call gets the same answer, credentials included.",
  access: "provision",
  body: EnrolRequest,
  bodyExample: EXAMPLE,
  replies: { 201: { description: "Enrolled, with its credentials", schema: Registered } },
  errors: ["conflict", "unavailable"],
  handler: ({ context, body, commit }) => {
    const claimCode = newClaimCode();
    return commit((db) =>
      enrol(context, db, {
        request: body,
        claimCode,
        organizationId: null,
        ownerId: null,
        actor: { kind: "system", id: "provisioning" },
        answer: ({ uid, credentials }) => ({
          device_uid: uid,
          ...credentials,
          ...connectionJson(context.settings),
          claim_code: claimCode,
          topics: topicsJson(context.topics, uid),
        }),
      }),
    );
  },
});

export const addDevice = defineRoute({
  method: "POST",
  path: "/api/v1/devices",
  tag: "Devices",
  summary: "Enrol a device into your organisation",
  access: "device.own",
  body: EnrolRequest,
  bodyExample: EXAMPLE,
  replies: { 201: { description: "Enrolled, with its credentials", schema: Enrolled } },
  errors: ["conflict"],
  handler: ({ context, principal, body, commit }) =>
    commit((db) =>
      enrol(context, db, {
        request: body,
        organizationId: principal.organizationId,
        ownerId: principal.kind === "user" ? principal.id : null,
        actor: actorOf(principal),
        answer: ({ uid, device, credentials }) => ({
          device,
          device_uid: uid,
          ...credentials,
          ...connectionJson(context.settings),
          topics: topicsJson(context.topics, uid),
        }),
      }),
    ),
});

interface Enrolment {
  readonly request: EnrolRequest;
  readonly claimCode?: string;
  readonly organizationId: string | null;
  readonly ownerId: string | null;
  readonly actor: Actor;
  answer(made: { uid: string; device: Record<string, unknown>; credentials: Record<string, string> }): Record<string, unknown>;
}

/** Device, credentials, event and audit in the caller's transaction. Throws `conflict` for a serial number that is known. */
async function enrol(context: ApiContext, db: Db, enrolment: Enrolment): Promise<Effect> {
  const { request, organizationId, actor } = enrolment;
  const serialNumber = request.serial_number;
  if (serialNumber !== undefined && (await findDeviceBySerial(db, serialNumber)) !== undefined)
    throw new HubError("conflict", "a device with this serial number is enrolled already", { details: { serial_number: serialNumber } });
  const device = await createDevice(db, {
    name: request.name,
    deviceClass: request.device_class,
    organizationId,
    ownerId: enrolment.ownerId,
    model: request.model,
    serialNumber,
    capabilities: request.capabilities ?? defaultCapabilities(request.device_class),
    claimCode: enrolment.claimCode,
  });
  const { token } = await issueDeviceToken(db, context.keys, device.id);
  const { jwt, expiresAt } = await issueDeviceJwt(db, context.keys, device.id, DEVICE_JWT_TTL_MS);
  const taskKey = taskKeyJson(await context.taskKeys.taskKeyOf(db, device.id));
  const about = { organizationId, entityId: device.id, actor, now: context.clock() };
  return {
    answer: {
      status: 201,
      body: enrolment.answer({
        uid: device.uid,
        device: deviceJson(device),
        credentials: { device_token: token, device_jwt: jwt, device_jwt_expires_at: expiresAt, ...taskKey },
      }),
    },
    audit: [
      {
        organizationId,
        action: "device.create",
        resourceType: "device",
        resourceId: device.id,
        details: { uid: device.uid, device_class: device.deviceClass },
        after: deviceJson(device),
      },
    ],
    events: [newEvent("device.registered", about, { uid: device.uid, device_class: device.deviceClass })],
    afterwards: () => context.directory.put({ id: device.id, uid: device.uid, organizationId }),
  };
}
