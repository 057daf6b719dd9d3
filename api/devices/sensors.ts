import Type from "typebox";
import { fault } from "../../core/definition.ts";
import type { Device } from "../../core/device.ts";
import { HubError } from "../../core/errors.ts";
import { parseSensorSettings, reportedSensors, SensorSettings } from "../../core/sensor.ts";
import { UNIT_SYSTEM_SETTING } from "../../core/service-settings.ts";
import { canonicalUnit, UNIT_SYSTEMS, type UnitSystem } from "../../core/units.ts";
import { metadataOf } from "../../core/virtual-sensor.ts";
import { getDevice } from "../../store/devices.ts";
import { latestReadings } from "../../store/latest-readings.ts";
import type { Db } from "../../store/open.ts";
import {
  findSensorSettings,
  listSensorSettings,
  lockSensorSettings,
  putSensorSettings,
  removeSensorSettings,
  type SensorOwner,
  type StoredSensor,
} from "../../store/sensor-settings.ts";
import { virtualSensorsOn } from "../../store/virtual-sensors.ts";
import { Cursor, DeviceParams, DeviceReference, Limit, pageOf } from "../fields.ts";
import { changeable } from "../places/fields.ts";
import { SensorKey } from "../readings/terms.ts";
import { type Answer, type AuditNote, type Call, defineRoute, type Effect } from "../route.ts";
import { settingValue } from "../settings/service-settings.ts";
import { deviceFor, ownerOf } from "./device-for.ts";
import { type FoundSensor, OneSensor, type Reader, sensorJson, sensorVersion, SensorView, Units } from "./sensor-representation.ts";

const TAG = "Sensors";
const closed = { additionalProperties: false } as const;
const SensorParams = Type.Object({ id: DeviceReference, key: SensorKey }, closed);
const change = changeable(SensorSettings, "Sensor");
const EXAMPLE = {
  name: "Cellar",
  device_class: "temperature",
  unit_of_measurement: "°C",
  calibration: { kind: "linear", offset: -0.4, min: -40, max: 80 },
};

export const list = defineRoute({
  method: "GET",
  path: "/api/v1/devices/:id/sensors",
  tag: TAG,
  summary: "The sensors of a device, with what they are and their last values",
  description:
    "By key: those that the device has told of, those that it has sent values of, virtual ones, and those that somebody has said something about.",
  access: "device.read",
  params: DeviceParams,
  query: Type.Object({ limit: Limit(500, 200), cursor: Cursor, units: Units }, closed),
  replies: { 200: { description: "A page", schema: pageOf(SensorView, "SensorPage") } },
  errors: ["not_found", "device_not_claimed"],
  async handler({ context, scope, params, query: { limit = 200, cursor = "", units } }) {
    const device = await getDevice(context.store.db, scope, params.id);
    const found = await sensorsOf(context.store.db, device, { limit: limit + 1, after: cursor });
    const reader = await readerOf(context, ownerOf(device), { units });
    const data = found.slice(0, limit).map((one) => sensorJson(one, reader));
    return { status: 200, body: { data, next_cursor: found.length > limit ? (data.at(-1)?.key ?? null) : null } };
  },
});

export const show = defineRoute({
  method: "GET",
  path: "/api/v1/devices/:id/sensors/:key",
  tag: TAG,
  summary: "One sensor of a device",
  access: "device.read",
  params: SensorParams,
  query: Type.Object(
    { unit: Type.Optional(Type.String({ minLength: 1, maxLength: 16, description: "In which `shown` is" })), units: Units },
    closed,
  ),
  replies: { 200: { description: "The sensor", schema: OneSensor } },
  errors: ["not_found", "device_not_claimed"],
  async handler({ context, scope, params, query }) {
    const { db } = context.store;
    const device = await getDevice(db, scope, params.id);
    const owner = ownerOf(device);
    const stored = await findSensorSettings(db, owner, params.key);
    const found = await sensorOf(db, device, stored);
    if (!isThere(device, found)) throw new HubError("not_found", "the device has no such sensor");
    return answerOf(owner, found, await readerOf(context, owner, query));
  },
});

export const put = defineRoute({
  method: "PUT",
  path: "/api/v1/devices/:id/sensors/:key",
  tag: TAG,
  summary: "Say what a sensor is",
  description:
    "In place of whatever was said before; what is left out is the device's to say. A calibration holds for values that come from then on. A sensor of which nothing came yet can be told of ahead of it.",
  access: "device.manage",
  match: "required",
  params: SensorParams,
  body: SensorSettings,
  bodyExample: EXAMPLE,
  replies: { 200: { description: "As it is now", schema: OneSensor } },
  errors: ["not_found", "device_not_claimed", "quota_exceeded"],
  handler: (call) => save(call, () => call.body),
});

export const update = defineRoute({
  method: "PATCH",
  path: "/api/v1/devices/:id/sensors/:key",
  tag: TAG,
  summary: "Change what is said of a sensor",
  description: "null leaves a member to the device again. A calibration is replaced as a whole.",
  access: "device.manage",
  match: "required",
  params: SensorParams,
  body: change.Patch,
  bodyExample: { display_precision: 1, hidden: null },
  replies: { 200: { description: "As it is now", schema: OneSensor } },
  errors: ["not_found", "device_not_claimed", "quota_exceeded"],
  handler: (call) =>
    save(call, ({ calibration, ...rest }) =>
      change.apply(call.body.calibration === undefined ? { ...rest, calibration } : rest, call.body),
    ),
});

export const remove = defineRoute({
  method: "DELETE",
  path: "/api/v1/devices/:id/sensors/:key",
  tag: TAG,
  summary: "Take back what is said of a sensor",
  description: "What the device says of it holds again, and its values are taken as they come. Readings stay as they were stored.",
  access: "device.manage",
  match: "required",
  params: SensorParams,
  replies: { 204: { description: "Gone" } },
  errors: ["not_found", "device_not_claimed"],
  handler: ({ context, rights, params, match, commit }) =>
    commit(async (db) => {
      const device = await deviceFor(rights, "device.manage", db, params.id);
      const owner = ownerOf(device);
      const before = await lockSensorSettings(db, owner, params.key);
      if (before.createdAt === null) throw new HubError("not_found", "nobody has said anything of this sensor");
      match(sensorVersion(owner, before));
      await removeSensorSettings(db, owner, params.key);
      return { answer: { status: 204 }, ...leaves(context, device, { action: "sensor.delete", before }) };
    }),
});

type Saving = Pick<Call<"device.manage", { id: string; key: string }>, "context" | "rights" | "params" | "match" | "commit">;

function save({ context, rights, params, match, commit }: Saving, wanted: (before: SensorSettings) => SensorSettings): Promise<Answer> {
  return commit(async (db) => {
    const device = await deviceFor(rights, "device.manage", db, params.id);
    const owner = ownerOf(device);
    const before = await lockSensorSettings(db, owner, params.key);
    match(sensorVersion(owner, before));
    const found = await sensorOf(db, device, before);
    const settings = parseSensorSettings(wanted(before.settings), found.base);
    if (settings.calibration && found.virtualSensorId !== null)
      throw fault("/calibration", "is not for a virtual sensor: its expression says what it is");
    const after = await putSensorSettings(db, owner, before, { settings, now: context.clock() });
    const answer = answerOf(owner, { ...found, stored: after }, { system: undefined });
    return { answer, ...leaves(context, device, { action: "sensor.put", before, after }) };
  });
}

/** The audit of a change, and what is to be known of it. */
function leaves(
  { sensors }: Pick<Call["context"], "sensors">,
  { id, uid, organizationId }: Device,
  { action, before, after }: { readonly action: string; readonly before: StoredSensor; readonly after?: StoredSensor },
): Omit<Effect, "answer"> {
  const details = { uid, key: before.key, before: before.settings, ...(after === undefined ? {} : { after: after.settings }) };
  const note: AuditNote = { organizationId, action, resourceType: "device", resourceId: id, details };
  const isCalibrated = before.settings.calibration !== undefined || after?.settings.calibration !== undefined;
  return {
    audit: [{ ...note, before: before.settings, ...(after === undefined ? {} : { after: after.settings }) }],
    ...(isCalibrated ? { afterwards: () => sensors.calibrationsChanged([id]) } : {}),
  };
}

function answerOf(owner: SensorOwner, found: FoundSensor, reader: Reader): Answer {
  return { status: 200, version: sensorVersion(owner, found.stored), body: { sensor: sensorJson(found, reader) } };
}

async function readerOf(
  context: Call["context"],
  { organizationId }: SensorOwner,
  { unit, units }: { readonly unit?: string | undefined; readonly units?: UnitSystem | undefined },
): Promise<Reader> {
  const preset = units ?? (await settingValue(context, organizationId, UNIT_SYSTEM_SETTING));
  return { system: UNIT_SYSTEMS.find((one) => one === preset), unit: unit === undefined ? undefined : canonicalUnit(unit) };
}

/** What is known of the sensor with these settings. */
export async function sensorOf(db: Db, device: Device, stored: StoredSensor): Promise<FoundSensor> {
  const [latest] = (await latestReadings(db, wholeOf(device), { deviceId: device.id, key: stored.key, limit: 1 })).items;
  const virtual = (await virtualSensorsOn(db, ownerOf(device), stored.key)).get(stored.key);
  return {
    stored,
    base: virtual ? metadataOf(virtual.text) : (reportedSensors(device.capabilities).get(stored.key) ?? {}),
    virtualSensorId: virtual?.id ?? null,
    latest,
  };
}

/** The first so many behind a key. */
async function sensorsOf(db: Db, device: Device, { limit, after }: { limit: number; after: string }): Promise<FoundSensor[]> {
  const owner = ownerOf(device);
  const page = { deviceId: device.id, limit, ...(after === "" ? {} : { after: `${device.id} ${after}` }) };
  const latest = new Map((await latestReadings(db, wholeOf(device), page)).items.map((one) => [one.key, one]));
  const stored = new Map((await listSensorSettings(db, owner)).map((one) => [one.key, one]));
  const virtual = await virtualSensorsOn(db, owner);
  const reported = reportedSensors(device.capabilities);
  const keys = [...new Set([latest, stored, virtual, reported].flatMap((one) => [...one.keys()]))].filter((key) => key > after);
  return keys
    .toSorted((a, b) => (a < b ? -1 : 1))
    .slice(0, limit)
    .map((key) => {
      const of = virtual.get(key);
      return {
        stored: stored.get(key) ?? { key, settings: {}, version: 0, createdAt: null },
        base: of ? metadataOf(of.text) : (reported.get(key) ?? {}),
        virtualSensorId: of?.id ?? null,
        latest: latest.get(key),
      };
    });
}

const isThere = ({ capabilities }: Device, { stored, virtualSensorId, latest }: FoundSensor): boolean =>
  stored.createdAt !== null || virtualSensorId !== null || latest !== undefined || reportedSensors(capabilities).has(stored.key);

/** Whoever sees the device sees its values. */
const wholeOf = (device: Device) => ({ kind: "organization", organizationId: ownerOf(device).organizationId }) as const;
