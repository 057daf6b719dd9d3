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
  path: "/api/v1/platform/settings",
  tag: "Settings",
  summary: "The settings that hold where an organisation has none of its own",
  access: "platform",
  query: ServiceQuery,
  replies: { 200: { description: "By key", schema: SettingList } },
  handler: ({ context, query }) => settingsAnswer(context, null, query.service),
});

export const show = defineRoute({
  method: "GET",
  path: "/api/v1/platform/settings/:key",
  tag: "Settings",
  summary: "One value of the platform's",
  access: "platform",
  params: SettingParams,
  replies: { 200: { description: "The value", schema: SettingView } },
  errors: ["not_found"],
  handler: ({ context, params }) => settingAnswer(context, null, params.key),
});

export const put = defineRoute({
  method: "PUT",
  path: "/api/v1/platform/settings/:key",
  tag: "Settings",
  summary: "Set a value for all organisations that have none of their own",
  description: "One that is there already is changed with If-Match. It holds at once on every node.",
  access: "platform",
  match: "required_if_there",
  params: SettingParams,
  body: SettingValue,
  bodyExample: { value: 90 },
  replies: { 200: { description: "As it is now", schema: SettingView }, 201: { description: "The first value", schema: SettingView } },
  errors: PUT_ERRORS,
  handler: (call) => putIn(call, null, call.body.value),
});

export const remove = defineRoute({
  method: "DELETE",
  path: "/api/v1/platform/settings/:key",
  tag: "Settings",
  summary: "Take a value of the platform's away",
  access: "platform",
  match: "required",
  params: SettingParams,
  replies: { 204: { description: "Gone" } },
  errors: ["not_found"],
  handler: (call) => removeFrom(call, null),
});
