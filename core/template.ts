import Type, { type Static } from "typebox";
import { Command } from "./command.ts";
import { within } from "./definition.ts";
import { type Fault, Faults } from "./faults.ts";
import { type Place, placesIn, substitute } from "./placeholders.ts";
import { checkTrials } from "./template-trials.ts";
import type { Variable } from "./template-value.ts";
import {
  type BuiltinName,
  BUILTINS,
  findVariable,
  mayBeAbsent,
  memberOf,
  MOST_VARIABLES,
  parseVariables,
  TemplateVariable,
  valuesOf,
} from "./template-variable.ts";
import { parserFor, requireSmall } from "./validate.ts";

/** Of one organisation. */
export const MOST_TEMPLATES = 2_000;
const MOST_ACTIONS = 50;
/** Every change tries out all of them. */
const MOST_PLACEHOLDERS = 500;
/** Of what a template says, and of what becomes of it. */
const ACTIONS_LIMITS = { maxBytes: 65_536, maxDepth: 8 } as const;
const VARIABLES_LIMITS = { maxBytes: 65_536, maxDepth: 20 } as const;
const GIVEN_LIMITS = { maxBytes: 16_384, maxDepth: 8 } as const;

/** A category, a tag: compared as it is. */
export const Label = Type.String({ pattern: "^[a-z0-9][a-z0-9_-]{0,39}$", maxLength: 40 });

export const TemplateDefinition = Type.Object(
  {
    category: Type.Optional(Label),
    tags: Type.Optional(Type.Array(Label, { maxItems: 20, uniqueItems: true })),
    actions: Type.Array(Type.Unsafe<unknown>({ type: "object", description: "A command, whose values may have {{placeholders}}" }), {
      minItems: 1,
      maxItems: MOST_ACTIONS,
    }),
    variables: Type.Optional(
      Type.Array(Type.Unsafe<unknown>({ ...TemplateVariable }), {
        maxItems: MOST_VARIABLES,
        description: "What the placeholders stand for",
      }),
    ),
  },
  { additionalProperties: false, title: "TemplateDefinition" },
);
export type TemplateDefinition = Static<typeof TemplateDefinition>;

/** What the hub says of the time and the circumstances in which the actions are done. */
export interface Builtins {
  /** ms since 1970; ISO 8601 where it is filled in. */
  readonly now: number;
  readonly task: { readonly id: string };
  readonly device: { readonly uid: string; readonly name: string };
  readonly user: { readonly name: string };
}

/** The variables that somebody gives values to, as they came. */
export const GivenVariables = Type.Record(Type.String({ pattern: "^[A-Za-z][A-Za-z0-9_]{0,63}$" }), Type.Unknown(), {
  additionalProperties: false,
});

export interface Template {
  readonly actions: readonly unknown[];
  readonly variables: readonly Variable[];
}

const parseCommand = parserFor(Command);

/** Throws `validation_error` with everything that is wrong with it, as far as that is sure before somebody gives values. */
export function parseTemplate({ actions, variables = [] }: Pick<TemplateDefinition, "actions" | "variables">): Template {
  requireSmall(actions, "/actions", ACTIONS_LIMITS);
  requireSmall(variables, "/variables", VARIABLES_LIMITS);
  const faults = new Faults();
  const parsed = parseVariables(variables, "/variables", faults);
  const places = placesIn(actions, "/actions", faults);
  const count = places.reduce((sum, { names }) => sum + names.length, 0);
  if (count > MOST_PLACEHOLDERS) faults.add("/actions", `have ${count} placeholders, ${MOST_PLACEHOLDERS} are allowed`);
  // What a wrong variable stands for is told when the variable is right.
  if (faults.isEmpty) {
    checkPlaces(places, parsed, faults);
    checkUses(places, parsed, "/variables", faults);
  }
  if (faults.isEmpty) checkTrials({ actions, variables: parsed, places }, parseCommand, faults);
  faults.refuse();
  return { actions, variables: parsed };
}

/** One that was written by {@link parseTemplate}'s leave: what is sure of it is not looked for again. */
export function readTemplate({ actions, variables = [] }: Pick<TemplateDefinition, "actions" | "variables">): Template {
  const faults = new Faults();
  const parsed = parseVariables(variables, "/variables", faults);
  faults.refuse();
  return { actions, variables: parsed };
}

/** The devices that these values, and defaults, name: whether they are there is for who knows the organisation. */
export function devicesGiven({ variables }: Template, given: Readonly<Record<string, unknown>>): { path: string; uid: string }[] {
  return devicesIn(variables, valuesOf(variables, given, "", new Faults()), "/variables");
}

function devicesIn(variables: readonly Variable[], values: unknown, path: string): { path: string; uid: string }[] {
  return variables.flatMap(({ name, type, properties }) => {
    const value = memberOf(values, name);
    if (type === "object") return devicesIn(properties, value, `${path}/${name}`);
    return type === "device" && typeof value === "string" ? [{ path: `${path}/${name}`, uid: value }] : [];
  });
}

/**
 * The commands with these values: one pass, so that no value is read as a placeholder. Throws `validation_error` with every
 * fault: below `/variables` for what was given, with what is `known` of that already, below `/actions` for what would become of it.
 */
export function resolveTemplate(
  { actions, variables }: Template,
  given: Readonly<Record<string, unknown>>,
  builtins: Builtins,
  known: readonly Fault[] = [],
): Command[] {
  requireSmall(given, "/variables", GIVEN_LIMITS);
  const faults = new Faults();
  const values = valuesOf(variables, given, "/variables", faults);
  for (const { path, message } of known) faults.add(path, message);
  faults.refuse();
  const own = builtinsOf(builtins);
  const valueOf = (name: string): unknown => own.get(name as BuiltinName) ?? memberOf(values, name);
  const made = within("/actions", () => substitute(actions, valueOf, { left: ACTIONS_LIMITS.maxBytes })) as unknown[];
  requireSmall(made, "/actions", ACTIONS_LIMITS);
  const commands = made.flatMap((one, index) => faults.collect(`/actions/${index}`, () => parseCommand(one)) ?? []);
  faults.refuse();
  return commands;
}

function builtinsOf({ now, task, device, user }: Builtins): ReadonlyMap<BuiltinName, string> {
  return new Map([
    ["now", new Date(now).toISOString()],
    ["task.id", task.id],
    ["device.uid", device.uid],
    ["device.name", device.name],
    ["user.name", user.name],
  ]);
}

const isBuiltin = (name: string): boolean => (BUILTINS as readonly string[]).includes(name);

function checkPlaces(places: readonly Place[], variables: readonly Variable[], faults: Faults): void {
  for (const { path, names, isAlone, isItem } of places)
    for (const name of names) {
      if (isBuiltin(name)) continue;
      const variable = findVariable(variables, name);
      if (!variable) faults.add(path, `names ${name}, which is no variable of the template`);
      else if (variable.type === "object" && !isAlone) faults.add(path, `has ${name} inside of text: an object stands alone`);
      else if (isItem && isAlone && mayBeAbsent(variables, name))
        faults.add(path, `is an item of a list, and ${name} need not have a value: give it a default`);
    }
}

/** What nothing asks for would be given for nothing. */
function checkUses(places: readonly Place[], variables: readonly Variable[], path: string, faults: Faults): void {
  const used = new Set(places.flatMap(({ names }) => names));
  const check = (level: readonly Variable[], at: string, prefix: string): void => {
    for (const [index, { name, properties }] of level.entries()) {
      const whole = `${prefix}${name}`;
      if (used.has(whole)) continue;
      if (properties.length > 0) check(properties, `${at}/${index}/properties`, `${whole}.`);
      else faults.add(`${at}/${index}`, `(${whole}) is used in no action`);
    }
  };
  check(variables, path, "");
}
