import { HubError } from "../../core/errors.ts";
import { patchPreferences, PreferencesPatch, PreferencesView } from "../../core/preferences.ts";
import type { Member } from "../../core/principal.ts";
import { versionOf } from "../../core/version.ts";
import { changePreferences, type PreferencesOwner, readPreferences } from "../../store/preferences.ts";
import { defineRoute } from "../route.ts";

export const show = defineRoute({
  method: "GET",
  path: "/api/v1/preferences",
  tag: "Access",
  summary: "What your console keeps for you in the organisation that you act in",
  access: "self",
  replies: { 200: { description: "All four; empty objects where nothing is kept", schema: PreferencesView } },
  errors: ["forbidden"],
  async handler({ context, principal }) {
    const preferences = await readPreferences(context.store.db, ownerOf(principal));
    return { status: 200, version: versionOf(preferences), body: preferences };
  },
});

export const change = defineRoute({
  method: "PATCH",
  path: "/api/v1/preferences",
  tag: "Access",
  summary: "Change what your console keeps for you",
  description: `A merge patch of any of the four. What is not named stays as it is, whoever else changes it at the same time.

Of \`notification_settings\` the hub reads \`channels\` (by severity, what goes out beside the list, the stream and the topic: \`email\`; preset for \`critical\`, and only to an address that was verified), \`quiet_hours\` (\`from\` and \`to\` as HH:MM of \`time_zone\`, \`days\` on which they begin: mails wait until they end, critical ones only with \`critical_waits\`) and \`muted_sources\` (\`kind\`, and \`id\` for a single one: nothing of them is told but what is critical, and with \`including_critical\` nothing at all). Mails that are many come together, critical ones by themselves.`,
  access: "self",
  match: "optional",
  body: PreferencesPatch,
  bodyExample: {
    dashboard_settings: { theme: "dark" },
    device_view_state: null,
    notification_settings: {
      channels: { warning: ["email"] },
      quiet_hours: { from: "22:00", to: "06:30", time_zone: "Europe/Zurich" },
    },
  },
  replies: { 200: { description: "As they are now", schema: PreferencesView } },
  errors: ["forbidden"],
  handler: ({ context, principal, body, match, commit }) => {
    const owner = ownerOf(principal);
    return commit(async (db) => {
      const patched = await changePreferences(
        db,
        owner,
        (before) => {
          match(versionOf(before));
          return patchPreferences(before, body);
        },
        context.clock(),
      );
      return {
        answer: { status: 200, version: versionOf(patched), body: patched },
        audit: [
          {
            organizationId: owner.organizationId,
            action: "preferences.update",
            resourceType: "user",
            resourceId: owner.userId,
            details: { changed: Object.keys(body) },
          },
        ],
      };
    });
  },
});

function ownerOf(principal: Member): PreferencesOwner {
  if (principal.kind !== "user") throw new HubError("forbidden", "preferences are a person's: log in as one");
  return { userId: principal.id, organizationId: principal.organizationId };
}
