import Type, { type Static } from "typebox";
import { Command } from "../../core/command.ts";
import { DeviceUid } from "../../core/condition.ts";
import { fault } from "../../core/definition.ts";
import { HubError } from "../../core/errors.ts";
import { newId } from "../../core/id.ts";
import { actorOf } from "../../core/principal.ts";
import type { Scene, SceneCommand, SceneOutcome } from "../../core/scene.ts";
import type { DeviceState } from "../../core/state.ts";
import { versionOf } from "../../core/version.ts";
import { getDevice } from "../../store/devices.ts";
import type { Db } from "../../store/open.ts";
import { createScene, deleteScene, getScene, listScenes, lockScene, updateScene } from "../../store/scenes.ts";
import { readState } from "../../store/state.ts";
import { Cursor, IdParams, Limit, nullable, pageOf } from "../fields.ts";
import { changeable, Description, Name, Search } from "../places/fields.ts";
import { type AuditNote, defineRoute } from "../route.ts";
import { checkCommands } from "./check.ts";

const MOST_COMMANDS = 200;
const SceneCommands = Type.Array(
  Type.Object({ device: DeviceUid, command: Command }, { additionalProperties: false, title: "SceneCommand" }),
  {
    minItems: 1,
    maxItems: MOST_COMMANDS,
  },
);
const Body = Type.Object(
  { name: Name, description: Type.Optional(Description), commands: SceneCommands },
  { additionalProperties: false, title: "SceneRequest" },
);
const change = changeable(Body, "Scene");
const SceneView = Type.Object(
  {
    id: Type.String(),
    organization_id: Type.String(),
    name: Type.String(),
    description: nullable("string"),
    commands: SceneCommands,
    version: Type.Integer(),
    created_at: Type.String(),
    updated_at: Type.String(),
  },
  { title: "Scene" },
);
const OneScene = Type.Object({ scene: SceneView }, { title: "OneScene" });

export const list = defineRoute({
  method: "GET",
  path: "/api/v1/scenes",
  tag: "Automations",
  summary: "The scenes of your organisation",
  access: "automation.read",
  query: Type.Object({ limit: Limit(200, 50), cursor: Cursor, search: Search }, { additionalProperties: false }),
  replies: { 200: { description: "Oldest first", schema: pageOf(SceneView, "ScenePage") } },
  async handler({ context, scope, query: { limit = 50, cursor: after, search } }) {
    const page = await listScenes(context.store.db, scope, { limit, after, search });
    return { status: 200, body: { data: page.items.map(sceneJson), next_cursor: page.next } };
  },
});

export const create = defineRoute({
  method: "POST",
  path: "/api/v1/scenes",
  tag: "Automations",
  summary: "Make a scene: what several devices do together",
  access: "automation.manage",
  body: Body,
  bodyExample: {
    name: "Evening",
    commands: [{ device: "relay-k3m9x2q7", command: { command: "set_relay", relay: 0, state: "ON" } }],
  },
  replies: { 201: { description: "Made", schema: OneScene } },
  errors: ["quota_exceeded"],
  handler: ({ context, principal, body, commit }) =>
    commit(async (db) => {
      await check(db, principal.organizationId, body.commands);
      const scene = await createScene(db, principal.organizationId, fieldsOf(body), context.clock());
      return { answer: answerOf(scene, 201), audit: [{ ...note(scene, "scene.create", { name: scene.name }), after: scene.commands }] };
    }),
});

export const capture = defineRoute({
  method: "POST",
  path: "/api/v1/scenes/capture",
  tag: "Automations",
  summary: "Make a scene of how devices are now",
  description: "Of every relay and light that has reported its state.",
  access: "automation.manage",
  body: Type.Object(
    {
      name: Name,
      description: Type.Optional(Description),
      devices: Type.Array(DeviceUid, { minItems: 1, maxItems: 100, uniqueItems: true }),
    },
    { additionalProperties: false, title: "SceneCapture" },
  ),
  bodyExample: { name: "As it is now", devices: ["relay-k3m9x2q7"] },
  replies: { 201: { description: "Made", schema: OneScene } },
  errors: ["conflict", "quota_exceeded"],
  handler: ({ context, principal, body, commit }) =>
    commit(async (db) => {
      const { organizationId } = principal;
      const commands: SceneCommand[] = [];
      for (const [index, uid] of body.devices.entries())
        commands.push(...(await presentCommands(db, organizationId, uid, `/devices/${index}`)));
      if (commands.length === 0) throw new HubError("conflict", "none of the devices has reported a state yet");
      if (commands.length > MOST_COMMANDS) throw fault("/devices", `have ${commands.length} outputs, a scene has at most ${MOST_COMMANDS}`);
      const fields = { name: body.name, description: body.description ?? null, commands };
      const scene = await createScene(db, organizationId, fields, context.clock());
      return {
        answer: answerOf(scene, 201),
        audit: [{ ...note(scene, "scene.create", { name: scene.name, captured: true }), after: commands }],
      };
    }),
});

export const show = defineRoute({
  method: "GET",
  path: "/api/v1/scenes/:id",
  tag: "Automations",
  summary: "One scene",
  access: "automation.read",
  params: IdParams,
  replies: { 200: { description: "The scene", schema: OneScene } },
  errors: ["not_found"],
  handler: async ({ context, scope, params }) => answerOf(await getScene(context.store.db, scope, params.id.toLowerCase()), 200),
});

export const update = defineRoute({
  method: "PATCH",
  path: "/api/v1/scenes/:id",
  tag: "Automations",
  summary: "Change a scene",
  access: "automation.manage",
  match: "required",
  params: IdParams,
  body: change.Patch,
  bodyExample: { name: "Late evening" },
  replies: { 200: { description: "As it is now", schema: OneScene } },
  errors: ["not_found"],
  handler: ({ context, scope, params, body, match, commit }) =>
    commit(async (db) => {
      const before = await lockScene(db, scope, params.id.toLowerCase());
      match(versionOfScene(before));
      const wanted = change.apply(sceneJson(before), body);
      await check(db, before.organizationId, wanted.commands);
      const scene = await updateScene(db, before, fieldsOf(wanted), context.clock());
      const details = { changed: Object.keys(body), version: scene.version };
      return {
        answer: answerOf(scene, 200),
        audit: [{ ...note(scene, "scene.update", details), before: before.commands, after: scene.commands }],
      };
    }),
});

export const remove = defineRoute({
  method: "DELETE",
  path: "/api/v1/scenes/:id",
  tag: "Automations",
  summary: "Remove a scene",
  description: "Automations that ask for it fail there from now on, and say so.",
  access: "automation.manage",
  match: "required",
  params: IdParams,
  replies: { 204: { description: "Gone" } },
  errors: ["not_found"],
  handler: ({ scope, params, match, commit }) =>
    commit(async (db) => {
      const scene = await lockScene(db, scope, params.id.toLowerCase());
      match(versionOfScene(scene));
      await deleteScene(db, scene.id);
      return { answer: { status: 204 }, audit: [{ ...note(scene, "scene.delete", { name: scene.name }), before: scene.commands }] };
    }),
});

const Outcome = Type.Object({
  device: Type.String(),
  command_id: Type.String(),
  status: Type.Enum(["ok", "failed", "awaiting_confirmation"]),
  task_id: Type.Optional(Type.String({ description: "Of the task that somebody has to approve" })),
  code: Type.Optional(Type.String()),
  message: Type.Optional(Type.String()),
});

export const activate = defineRoute({
  method: "POST",
  path: "/api/v1/scenes/:id/activate",
  tag: "Automations",
  summary: "Have all devices of a scene do their part",
  description: "All at once. One that cannot does not hold up the others; the answer says what became of each.",
  access: "device.control",
  params: IdParams,
  replies: {
    200: { description: "What became of each command", schema: Type.Object({ results: Type.Array(Outcome) }, { title: "SceneActivated" }) },
  },
  errors: ["not_found"],
  async handler({ context, principal, scope, params, repetitionId, commit }) {
    const scene = await getScene(context.store.db, scope, params.id.toLowerCase());
    const { event, outcomes, failed } = await context.scenes.activate({
      scene,
      scope,
      actor: actorOf(principal),
      source: "rest",
      attempt: repetitionId ?? newId(),
    });
    const results = outcomes.map(outcomeJson);
    return await commit(async () => ({
      answer: { status: 200, body: { results } },
      audit: [note(scene, "scene.activate", { commands: results.length, failed: failed.length })],
      events: [event],
    }));
  },
});

function outcomeJson({ device, commandId, taskId, error }: SceneOutcome): Static<typeof Outcome> {
  const told = { device, command_id: commandId };
  if (error) return { ...told, status: "failed", code: error.code, message: error.message };
  return taskId === null ? { ...told, status: "ok" } : { ...told, status: "awaiting_confirmation", task_id: taskId };
}

const check = (db: Db, organizationId: string, commands: readonly SceneCommand[]): Promise<void> =>
  checkCommands(
    db,
    organizationId,
    commands.map((one, index) => ({ path: `/commands/${index}`, ...one })),
  );

/** What brings the device to where it is. */
async function presentCommands(db: Db, organizationId: string, uid: string, path: string): Promise<SceneCommand[]> {
  const device = await getDevice(db, { kind: "organization", organizationId }, uid).catch((error: unknown) => {
    throw error instanceof HubError ? fault(path, "is no device of the organisation") : error;
  });
  const state: DeviceState = await readState(db, device.id);
  const relays = state.relays.map(({ index, state: is }): Command => ({ command: "set_relay", relay: index, state: is }));
  const lights = state.lights.map(({ index, ...light }): Command => ({ command: "set_light", light: index, ...light }));
  return [...relays, ...lights].map((command) => ({ device: uid, command }));
}

const fieldsOf = ({ name, description, commands }: Static<typeof Body>) => ({ name, description: description ?? null, commands });
const versionOfScene = ({ id, version }: Scene): string => versionOf([id, version]);

function sceneJson({ id, organizationId, name, description, commands, version, createdAt, updatedAt }: Scene): Record<string, unknown> {
  return { id, organization_id: organizationId, name, description, commands, version, created_at: createdAt, updated_at: updatedAt };
}

const answerOf = (scene: Scene, status: 200 | 201) => ({ status, version: versionOfScene(scene), body: { scene: sceneJson(scene) } });

const note = ({ id, organizationId }: Scene, action: string, details: Record<string, unknown>): AuditNote => ({
  organizationId,
  action,
  resourceType: "scene",
  resourceId: id,
  details,
});
