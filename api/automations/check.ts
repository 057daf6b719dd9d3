import { type ActionUse, usesOfActions } from "../../core/action.ts";
import {
  checkReadable,
  type Definition,
  type DefinitionUse,
  parseDefinition,
  refuseOwnCause,
  usesOfDefinition,
} from "../../core/automation.ts";
import { checkCapability, type Command } from "../../core/command.ts";
import type { DeviceUse } from "../../core/condition.ts";
import { fault } from "../../core/definition.ts";
import type { Capabilities } from "../../core/device.ts";
import { HubError } from "../../core/errors.ts";
import { nextRun } from "../../core/recurrence.ts";
import type { Topics } from "../../core/topics.ts";
import { devicesByUid, idsOf, type NamedKind } from "../../store/named-things.ts";
import type { Db } from "../../store/open.ts";
import type { AutomationRequest } from "./representation.ts";

type Named = Extract<DefinitionUse, { id: string }>;

/**
 * The definition, when it can be done here: what it names is in the organisation, and has what is asked of it. Throws
 * `validation_error` with the path of the fault; what is another organisation's is as unknown as what is not there.
 */
export async function checkedDefinition(db: Db, topics: Topics, organizationId: string, input: AutomationRequest): Promise<Definition> {
  const { name: _name, description: _description, is_enabled: _isEnabled, ...written } = input;
  const definition = parseDefinition(written);
  const uses = usesOfDefinition(definition);
  const filters = uses.flatMap((use) => {
    if (use.kind !== "filter") return [];
    const uid = checkReadable(use.filter, use.path, { root: topics.root, organizationId });
    return uid === undefined ? [] : [{ path: use.path, device: uid }];
  });
  refuseOwnCause(definition, (name) => topics.build({ kind: "bus", organizationId, name }));
  await checkDevices(db, organizationId, uses, filters);
  await checkNamed(db, organizationId, [
    ...uses.filter((use): use is Named => "id" in use),
    ...(definition.siteId === undefined ? [] : [{ kind: "site" as const, path: "/site_id", id: definition.siteId }]),
  ]);
  return definition;
}

/** The same for actions alone. */
export async function checkActions(db: Db, organizationId: string, actions: Definition["actions"], path: string): Promise<void> {
  const uses = usesOfActions(actions, path);
  await checkDevices(db, organizationId, uses, []);
  await checkNamed(
    db,
    organizationId,
    uses.filter((use): use is Extract<ActionUse, { id: string }> => "id" in use),
  );
}

/** Commands to devices of the organisation that can do them. */
export async function checkCommands(
  db: Db,
  organizationId: string,
  wanted: readonly { path: string; device: string; command: Command }[],
): Promise<void> {
  await checkDevices(
    db,
    organizationId,
    wanted.map((one) => ({ kind: "command", ...one })),
    [],
  );
}

type AskedDevice = DeviceUse & { readonly command?: Command };

async function checkDevices(
  db: Db,
  organizationId: string,
  uses: readonly DefinitionUse[],
  named: readonly { path: string; device: string }[],
): Promise<void> {
  const asked = uses.flatMap((use): AskedDevice[] => {
    if (use.kind === "device") return [use.use];
    return use.kind === "command" ? [{ path: `${use.path}/device`, device: use.device, command: use.command }] : [];
  });
  const known = await devicesByUid(db, organizationId, [...new Set([...asked, ...named].map(({ device }) => device))]);
  for (const { path, device } of [...asked, ...named]) if (!known.has(device)) throw fault(path, "is no device of the organisation");
  for (const { path, device, relay, light, command } of asked) {
    const { capabilities } = known.get(device) as { capabilities: Capabilities };
    if (relay !== undefined && relay >= (capabilities.relays ?? 0)) throw fault(path, `has no relay ${relay}`);
    if (light !== undefined && light >= (capabilities.lights ?? 0)) throw fault(path, `has no light ${light}`);
    if (command) checkCan(command, capabilities, path);
  }
}

function checkCan(command: Command, capabilities: Capabilities, path: string): void {
  try {
    checkCapability(command, capabilities);
  } catch (error) {
    throw error instanceof HubError ? fault(path, `cannot do it: ${error.message}`) : error;
  }
}

async function checkNamed(db: Db, organizationId: string, uses: readonly { kind: NamedKind; path: string; id: string }[]): Promise<void> {
  for (const [kind, group] of Map.groupBy(uses, (use) => use.kind)) {
    const known = await idsOf(
      db,
      organizationId,
      kind,
      group.map(({ id }) => id),
    );
    for (const { path, id } of group) if (!known.has(id.toLowerCase())) throw fault(path, `is no ${kind} of the organisation`);
  }
}

/** When a schedule of the definition comes next, and the times after it. */
export function nextRunsOf(
  { triggers, timeZone }: Definition,
  place: {
    readonly timeZone: string | null;
    readonly latitude: number | null;
    readonly longitude: number | null;
    readonly createdAt: string;
  },
  { now, count }: { readonly now: number; readonly count: number },
): string[] {
  const context = { ...place, timeZone: timeZone ?? place.timeZone ?? "UTC", anchor: Date.parse(place.createdAt) };
  const runs: number[] = [];
  for (const trigger of triggers) {
    if (trigger.kind !== "schedule") continue;
    let after: number | undefined = now;
    for (let n = 0; n < count && after !== undefined; n++)
      if ((after = nextRun(trigger.recurrence, after, context)) !== undefined) runs.push(after);
  }
  return [...new Set(runs)]
    .toSorted((a, b) => a - b)
    .slice(0, count)
    .map((at) => new Date(at).toISOString());
}
