import { createHash } from "node:crypto";
import Type from "typebox";
import { HubError } from "../../core/errors.ts";
import { actorOf, type Member } from "../../core/principal.ts";
import {
  checkServiceSetting,
  type EffectiveSetting,
  effectiveSettings,
  ServiceSetting,
  ServiceSettingKey,
  serviceOf,
  SOURCES,
} from "../../core/service-settings.ts";
import { versionOf } from "../../core/version.ts";
import { ownerId, putSetting, removeSetting, type SettingChange, SETTINGS, type SettingsOwner } from "../../store/service-settings.ts";
import type { ApiContext } from "../context.ts";
import type { Answer, Call, Effect, RouteAccess } from "../route.ts";

type Needs = Pick<ApiContext, "cache">;

export const SettingParams = Type.Object({ key: ServiceSettingKey }, { additionalProperties: false });
export const ServiceQuery = Type.Object(
  {
    service: Type.Optional(
      Type.String({ pattern: "^[a-z][a-z0-9_-]*$", maxLength: 64, description: "Only this service's: what stands before the first dot" }),
    ),
  },
  { additionalProperties: false },
);
export const SettingValue = Type.Object(
  { value: Type.Unknown({ description: "Any JSON of at most 64 KiB and 32 levels; no secrets" }) },
  { additionalProperties: false, title: "ServiceSettingValue" },
);
export const SettingView = Type.Object(
  {
    key: ServiceSetting.properties.key,
    service: Type.String(),
    value: ServiceSetting.properties.value,
    source: Type.Enum([...SOURCES], { description: "Whose value holds: an organisation's own comes before the platform's" }),
    version: ServiceSetting.properties.version,
    updated_at: Type.String(),
    updated_by: ServiceSetting.properties.updated_by,
  },
  { title: "EffectiveSetting" },
);
export const SettingList = Type.Object({ data: Type.Array(SettingView) }, { title: "SettingList" });
export const PUT_ERRORS = ["quota_exceeded"] as const;

export async function settingsAnswer(context: Needs, owner: SettingsOwner, service: string | undefined): Promise<Answer> {
  const all = await settingsOf(context, owner);
  const asked = service === undefined ? all : all.filter(({ key }) => serviceOf(key) === service);
  return { status: 200, body: { data: asked.map(settingJson) } };
}

/** Throws `not_found`. With a version when it is the owner's own value, which is what the owner can change. */
export async function settingAnswer(context: Needs, owner: SettingsOwner, key: string): Promise<Answer> {
  const setting = (await settingsOf(context, owner)).find((one) => one.key === key);
  if (!setting) throw new HubError("not_found", "there is no such setting");
  const isOwn = setting.source === (owner === null ? "platform" : "organization");
  return { status: 200, body: settingJson(setting), ...(isOwn ? { version: settingVersion(setting) } : {}) };
}

type Changing = Pick<Call<RouteAccess, { key: string }>, "context" | "params" | "match" | "commit"> & { readonly principal: Member };

export function putIn({ context, principal, params, match, commit }: Changing, owner: SettingsOwner, value: unknown): Promise<Answer> {
  checkServiceSetting(params.key, value);
  return commit(async (db) => {
    const wanted = { key: params.key, value, actor: actorOf(principal), now: context.clock() };
    const change = await putSetting(db, owner, wanted, (before) => match(before && settingVersion(before)));
    const setting = { ...(change.after as ServiceSetting), source: owner === null ? "platform" : "organization" } as const;
    return {
      ...changeEffect(context, owner, change),
      answer: { status: change.before ? 200 : 201, version: settingVersion(setting), body: settingJson(setting) },
    };
  });
}

export function removeFrom({ context, params, match, commit }: Changing, owner: SettingsOwner): Promise<Answer> {
  return commit(async (db) => {
    const change = await removeSetting(db, owner, params.key, (before) => match(settingVersion(before)));
    return { ...changeEffect(context, owner, change), answer: { status: 204 } };
  });
}

/** The organisation's value, or the platform's; undefined for none. */
export async function settingValue(context: Needs, organizationId: string, key: string): Promise<unknown> {
  return (await settingsOf(context, organizationId)).find((one) => one.key === key)?.value;
}

/** What holds for the owner. */
async function settingsOf({ cache }: Needs, owner: SettingsOwner): Promise<EffectiveSetting[]> {
  const platform = await cache.read(SETTINGS, ownerId(null));
  const own = owner === null ? [] : await cache.read(SETTINGS, ownerId(owner));
  return effectiveSettings(own, platform);
}

function changeEffect(
  { cache }: Needs,
  organizationId: SettingsOwner,
  { before, after, document, revision }: SettingChange,
): Omit<Effect, "answer"> {
  const { id, key } = (after ?? before) as ServiceSetting;
  const details = {
    key,
    version: after?.version ?? null,
    before: before === undefined ? null : auditedValue(before.value),
    after: after === undefined ? null : auditedValue(after.value),
  };
  return {
    audit: [{ organizationId, action: after ? "setting.put" : "setting.delete", resourceType: "setting", resourceId: id, details }],
    afterwards: () => cache.changed(document, revision),
  };
}

/** Another one after each change, also of one that was removed and made again. */
const settingVersion = ({ id, version }: Pick<ServiceSetting, "id" | "version">): string => versionOf([id, version]);

function settingJson({ key, value, source, version, updated_at, updated_by }: EffectiveSetting): Record<string, unknown> {
  return { key, service: serviceOf(key), value, source, version, updated_at, updated_by };
}

const MAX_AUDITED_BYTES = 2_048;

/** Of a large value its size and fingerprint: the audit is no second place for it. */
export function auditedValue(value: unknown): { value: unknown } | { bytes: number; sha256: string } {
  const text = JSON.stringify(value);
  const bytes = Buffer.byteLength(text);
  return bytes <= MAX_AUDITED_BYTES ? { value } : { bytes, sha256: createHash("sha256").update(text).digest("hex") };
}
