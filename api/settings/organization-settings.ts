import { defineRoute } from "../route.ts";
import {
  PUT_ERRORS,
  putIn,
  removeFrom,
  ServiceQuery,
  settingAnswer,
  SettingList,
  SettingParams,
  settingsAnswer,
  SettingValue,
  SettingView,
} from "./service-settings.ts";

export const list = defineRoute({
  method: "GET",
  path: "/api/v1/settings",
  tag: "Settings",
  summary: "The settings that hold in your organisation",
  description: "Its own values, and the platform's where it has none.",
  access: "member.read",
  query: ServiceQuery,
  replies: { 200: { description: "By key", schema: SettingList } },
  handler: ({ context, principal, query }) => settingsAnswer(context, principal.organizationId, query.service),
});

export const show = defineRoute({
  method: "GET",
  path: "/api/v1/settings/:key",
  tag: "Settings",
  summary: "The value that holds in your organisation",
  description: "`source` says whose it is. If-Match of a change takes the ETag of a value of the organisation's own only.",
  access: "member.read",
  params: SettingParams,
  replies: { 200: { description: "The value", schema: SettingView } },
  errors: ["not_found"],
  handler: ({ context, principal, params }) => settingAnswer(context, principal.organizationId, params.key),
});

export const put = defineRoute({
  method: "PUT",
  path: "/api/v1/settings/:key",
  tag: "Settings",
  summary: "Set a value for your organisation",
  description: "One that is there already is changed with If-Match. It comes before the platform's value, and holds at once on every node.",
  access: "organization.manage",
  match: "required_if_there",
  params: SettingParams,
  body: SettingValue,
  bodyExample: { value: { from: "22:00", to: "06:00" } },
  replies: {
    200: { description: "As it is now", schema: SettingView },
    201: { description: "The organisation's first value", schema: SettingView },
  },
  errors: PUT_ERRORS,
  handler: (call) => putIn(call, call.principal.organizationId, call.body.value),
});

export const remove = defineRoute({
  method: "DELETE",
  path: "/api/v1/settings/:key",
  tag: "Settings",
  summary: "Take your organisation's value away",
  description: "The platform's holds again, if there is one.",
  access: "organization.manage",
  match: "required",
  params: SettingParams,
  replies: { 204: { description: "Gone" } },
  errors: ["not_found"],
  handler: (call) => removeFrom(call, call.principal.organizationId),
});
