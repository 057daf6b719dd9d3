import Type, { type Static } from "typebox";
import type { Device } from "../../core/device.ts";
import { fault } from "../../core/definition.ts";
import { HubError } from "../../core/errors.ts";
import { type Access, mayOn, scopeOf } from "../../core/permissions.ts";
import { reportedSensors } from "../../core/sensor.ts";
import { versionOf } from "../../core/version.ts";
import {
  checkVirtualSensor,
  type InputSeries,
  loopThrough,
  MOST_FED,
  overfed,
  seriesName,
  type SeriesRef,
  VIRTUAL_SENSOR_FIELDS,
  type VirtualInput,
  type VirtualSensorFields,
} from "../../core/virtual-sensor.ts";
import { getDevice, lockDevice } from "../../store/devices.ts";
import { latestReadings } from "../../store/latest-readings.ts";
import type { Db } from "../../store/open.ts";
import { findSensorSettings } from "../../store/sensor-settings.ts";
import {
  deleteVirtualSensor,
  getVirtualSensor,
  insertVirtualSensor,
  listVirtualSensors,
  lockVirtualSensors,
  MOST_VIRTUAL_SENSORS,
  updateVirtualSensor,
  type VirtualSensor,
} from "../../store/virtual-sensors.ts";
import { deviceFor, ownerOf } from "../devices/device-for.ts";
import { Cursor, DeviceReference, IdParams, Limit, nullable, pageOf } from "../fields.ts";
import { changeable } from "../places/fields.ts";
import { type Answer, type AuditNote, defineRoute } from "../route.ts";
import { SensorKey } from "../readings/terms.ts";

const TAG = "Sensors";
const closed = { additionalProperties: false } as const;
const change = changeable(Type.Object(VIRTUAL_SENSOR_FIELDS, closed), "VirtualSensor");

const { inputs: _inputs, ...text } = VIRTUAL_SENSOR_FIELDS;
const VirtualSensorView = Type.Object(
  {
    id: Type.String(),
    organization_id: Type.String(),
    device_id: Type.String(),
    device: Type.String(),
    key: Type.String(),
    ...text,
    inputs: Type.Record(
      Type.String(),
      Type.Object(
        { device: nullable("string", { description: "null for one that you may not see" }), key: Type.String() },
        { title: "SeenInput" },
      ),
    ),
    version: Type.Integer(),
    created_at: Type.String(),
    updated_at: Type.String(),
  },
  { title: "VirtualSensor" },
);
const OneVirtualSensor = Type.Object({ virtual_sensor: VirtualSensorView }, { title: "OneVirtualSensor" });

export const list = defineRoute({
  method: "GET",
  path: "/api/v1/virtual-sensors",
  tag: TAG,
  summary: "Sensors that are worked out of others",
  description: "Those of devices that you may see, oldest first.",
  access: "device.read",
  query: Type.Object({ device: Type.Optional(DeviceReference), limit: Limit(200, 50), cursor: Cursor }, closed),
  replies: { 200: { description: "A page", schema: pageOf(VirtualSensorView, "VirtualSensorPage") } },
  errors: ["not_found"],
  async handler({ context, rights, scope, query: { device, limit = 50, cursor: after } }) {
    const { db } = context.store;
    const deviceId = device === undefined ? undefined : (await getDevice(db, scope, device)).id;
    const page = await listVirtualSensors(db, scope, { limit, after, deviceId });
    return { status: 200, body: { data: page.items.map((one) => virtualSensorJson(one, rights)), next_cursor: page.next } };
  },
});

export const create = defineRoute({
  method: "POST",
  path: "/api/v1/virtual-sensors",
  tag: TAG,
  summary: "Make a sensor that is worked out of others",
  description:
    "Whenever one of its inputs has a new value, the expression is worked out, and what it says is a reading of the device like any other. docs/sensors.md tells what an expression may say.",
  access: "device.manage",
  body: Type.Object({ device: DeviceReference, key: SensorKey, ...VIRTUAL_SENSOR_FIELDS }, { ...closed, title: "VirtualSensorRequest" }),
  bodyExample: {
    device: "sensor-k3m9x2q7",
    key: "dew_point",
    name: "Dew point of the cellar",
    expression: "dew_point(t, rh)",
    inputs: { t: { device: "sensor-k3m9x2q7", key: "temperature" }, rh: { device: "sensor-k3m9x2q7", key: "humidity" } },
    max_age_s: 900,
    device_class: "temperature",
    unit_of_measurement: "°C",
    state_class: "measurement",
  },
  replies: { 201: { description: "Made", schema: OneVirtualSensor } },
  errors: ["not_found", "device_not_claimed", "conflict", "quota_exceeded"],
  handler: ({ context, rights, body: { device: ref, key, ...fields }, commit }) =>
    commit(async (db) => {
      checkVirtualSensor(fields);
      const found = await deviceFor(rights, "device.manage", db, ref);
      const { organizationId } = ownerOf(found);
      const others = await lockVirtualSensors(db, organizationId);
      // It may have been released until now.
      const device = await lockDevice(db, found);
      if (others.length >= MOST_VIRTUAL_SENSORS)
        throw new HubError("quota_exceeded", `an organisation has at most ${MOST_VIRTUAL_SENSORS} virtual sensors`);
      const target = { deviceId: device.id, uid: device.uid, key };
      await requireFree(db, device, { key, others });
      const wanted = { organizationId, target, ...(await partsOf(db, rights, { organizationId, fields })) };
      requireNoLoop(wanted, others);
      const made = await insertVirtualSensor(db, wanted, context.clock());
      return {
        answer: answerOf(made, rights, 201),
        audit: [{ ...note(made, "virtual_sensor.create", { fields }), after: fields }],
        afterwards: () => context.sensors.virtualSensorsChanged(organizationId),
      };
    }),
});

export const show = defineRoute({
  method: "GET",
  path: "/api/v1/virtual-sensors/:id",
  tag: TAG,
  summary: "One virtual sensor",
  access: "device.read",
  params: IdParams,
  replies: { 200: { description: "The virtual sensor", schema: OneVirtualSensor } },
  errors: ["not_found"],
  handler: async ({ context, rights, scope, params }) =>
    answerOf(await getVirtualSensor(context.store.db, scope, params.id.toLowerCase()), rights, 200),
});

export const update = defineRoute({
  method: "PATCH",
  path: "/api/v1/virtual-sensors/:id",
  tag: TAG,
  summary: "Change how a virtual sensor is worked out",
  description: "Inputs are replaced all together. Which sensor it is stays. Readings stay as they were stored.",
  access: "device.manage",
  match: "required",
  params: IdParams,
  body: change.Patch,
  bodyExample: { expression: "round(dew_point(t, rh), 1)" },
  replies: { 200: { description: "As it is now", schema: OneVirtualSensor } },
  errors: ["not_found"],
  handler: ({ context, rights, params, body, match, commit }) =>
    commit(async (db) => {
      const { before, others } = await lockOne(db, rights, params.id.toLowerCase());
      match(virtualSensorVersion(before));
      const { inputs, ...rest } = fieldsOf(before);
      const fields = change.apply(body.inputs === undefined ? { ...rest, inputs } : rest, body);
      checkVirtualSensor(fields);
      const { organizationId } = before;
      const parts = await partsOf(db, rights, { organizationId, fields });
      requireNoLoop({ ...before, ...parts }, others);
      const after = await updateVirtualSensor(db, before, parts, context.clock());
      return {
        answer: answerOf(after, rights, 200),
        audit: [
          { ...note(after, "virtual_sensor.update", { changed: Object.keys(body), fields }), before: fieldsOf(before), after: fields },
        ],
        afterwards: () => context.sensors.virtualSensorsChanged(organizationId),
      };
    }),
});

export const remove = defineRoute({
  method: "DELETE",
  path: "/api/v1/virtual-sensors/:id",
  tag: TAG,
  summary: "Remove a virtual sensor",
  description: "Its last value goes, its readings stay. Virtual sensors that are worked out of it say nothing any more.",
  access: "device.manage",
  match: "required",
  params: IdParams,
  replies: { 204: { description: "Gone" } },
  errors: ["not_found"],
  handler: ({ context, rights, params, match, commit }) =>
    commit(async (db) => {
      const { before } = await lockOne(db, rights, params.id.toLowerCase());
      match(virtualSensorVersion(before));
      await deleteVirtualSensor(db, before);
      return {
        answer: { status: 204 },
        audit: [{ ...note(before, "virtual_sensor.delete", {}), before: fieldsOf(before) }],
        async afterwards() {
          const { uid, key } = before.target;
          await context.sensors.virtualSensorsChanged(before.organizationId);
          await context.bus.publish({ topic: context.topics.build({ kind: "sensor_state", uid, key }), payload: "", qos: 1, retain: true });
        },
      };
    }),
});

/** With the others of its organisation, none of which comes, goes or changes meanwhile. Throws `not_found` and `forbidden`. */
async function lockOne(db: Db, rights: Access, id: string): Promise<{ before: VirtualSensor; others: readonly VirtualSensor[] }> {
  const { organizationId, target } = await getVirtualSensor(db, scopeOf(rights, "device.read"), id);
  await deviceFor(rights, "device.manage", db, target.deviceId);
  const all = await lockVirtualSensors(db, organizationId);
  const before = all.find((one) => one.id === id);
  if (!before) throw new HubError("not_found", "there is no such virtual sensor");
  return { before, others: all.filter((one) => one !== before) };
}

/** Inputs are devices that whoever asks may see. Throws `validation_error`. */
async function partsOf(
  db: Db,
  rights: Access,
  { organizationId, fields }: { readonly organizationId: string; readonly fields: VirtualSensorFields },
): Promise<Pick<VirtualSensor, "inputs" | "text">> {
  const { inputs: named, ...rest } = fields;
  const inputs: VirtualInput[] = [];
  for (const [name, { device, key }] of Object.entries(named)) {
    const found = await getDevice(db, { kind: "organization", organizationId }, device).catch(notFoundAsUndefined);
    if (!found || !mayOn(rights, "device.read", found)) throw fault(`/inputs/${name}/device`, "is no device of the organisation");
    inputs.push({ name, deviceId: found.id, uid: found.uid, key });
  }
  return { inputs, text: rest };
}

function notFoundAsUndefined(error: unknown): undefined {
  if (error instanceof HubError && error.code === "not_found") return undefined;
  throw error;
}

/** A key that the device sends itself is the device's. Throws `conflict`. */
async function requireFree(
  db: Db,
  device: Device,
  { key, others }: { readonly key: string; readonly others: readonly VirtualSensor[] },
): Promise<void> {
  const owner = ownerOf(device);
  const { organizationId } = owner;
  const isVirtual = others.some(({ target }) => target.deviceId === device.id && target.key === key);
  if (isVirtual) throw new HubError("conflict", `${device.uid}/${key} is a virtual sensor already`);
  const said = await latestReadings(db, { kind: "organization", organizationId }, { deviceId: device.id, key, limit: 1 });
  if (said.items.length > 0 || reportedSensors(device.capabilities).has(key))
    throw new HubError("conflict", `${device.uid} sends ${key} itself: a virtual sensor needs a key of its own`);
  const { settings } = await findSensorSettings(db, owner, key);
  if (settings.calibration) throw new HubError("conflict", `${device.uid}/${key} has a calibration, which is not for a virtual sensor`);
}

/** Throws `validation_error`, with the way of the loop. */
function requireNoLoop(wanted: Pick<VirtualSensor, "target" | "inputs">, others: readonly VirtualSensor[]): void {
  const way = loopThrough(wanted, others);
  if (way) throw fault("/inputs", `would feed the sensor with itself: ${way.join(" → ")}`);
  const tooMuch: SeriesRef | undefined = overfed([...others, wanted]);
  if (tooMuch) throw fault("/inputs", `would have ${seriesName(tooMuch)} feed more than ${MOST_FED} virtual sensors, over others too`);
}

const fieldsOf = ({ text: said, inputs }: VirtualSensor): VirtualSensorFields => ({
  ...said,
  inputs: Object.fromEntries(inputs.map(({ name, uid, key }): [string, Static<typeof InputSeries>] => [name, { device: uid, key }])),
});

function virtualSensorJson(sensor: VirtualSensor, rights: Access): Static<typeof VirtualSensorView> {
  const { id, organizationId, target, inputs } = sensor;
  const isSeen = (deviceId: string): boolean => mayOn(rights, "device.read", { id: deviceId, organizationId });
  return {
    id,
    organization_id: organizationId,
    device_id: target.deviceId,
    device: target.uid,
    key: target.key,
    ...sensor.text,
    inputs: Object.fromEntries(inputs.map(({ name, deviceId, uid, key }) => [name, { device: isSeen(deviceId) ? uid : null, key }])),
    version: sensor.version,
    created_at: sensor.createdAt,
    updated_at: sensor.updatedAt,
  };
}

const answerOf = (sensor: VirtualSensor, rights: Access, status: number): Answer => ({
  status,
  version: virtualSensorVersion(sensor),
  body: { virtual_sensor: virtualSensorJson(sensor, rights) },
});

const virtualSensorVersion = ({ id, version }: VirtualSensor): string => versionOf([id, version]);

function note({ id, organizationId, target }: VirtualSensor, action: string, details: Record<string, unknown>): AuditNote {
  return {
    organizationId,
    action,
    resourceType: "virtual_sensor",
    resourceId: id,
    details: { uid: target.uid, key: target.key, ...details },
  };
}
