import Type, { type Static } from "typebox";
import type { Faults } from "./faults.ts";
import { VARIABLE_NAME } from "./placeholders.ts";
import { MAX_TEXT, secondsOf, type Variable, VARIABLE_TYPES, type VariableType, whatIsWrong } from "./template-value.ts";
import { MAX_PATTERN_CHARS, parseTextPattern } from "./text-pattern.ts";
import { parserFor } from "./validate.ts";

export const MOST_VARIABLES = 64;
const MOST_LEVELS = 4;
/** Of all enums of a template together. */
const MOST_CHOICES = 100;
/** What the hub fills in by itself; a variable cannot have the name of one, or of a group of them. */
export const BUILTINS = ["now", "task.id", "device.uid", "device.name", "user.name"] as const;
export type BuiltinName = (typeof BUILTINS)[number];
const RESERVED = new Set(BUILTINS.map((name) => name.split(".")[0]));

const Line = (maxLength: number) => Type.String({ minLength: 1, maxLength, pattern: "^[^\\u0000-\\u001f\\u007f]*$" });

/** What has `properties` is parsed level by level. */
export const TemplateVariable = Type.Object(
  {
    name: Type.String({ pattern: `^${VARIABLE_NAME}$` }),
    type: Type.Enum([...VARIABLE_TYPES]),
    label: Type.Optional(Line(120)),
    description: Type.Optional(Line(500)),
    default: Type.Optional(Type.Unknown({ description: "Its value where none is given" })),
    required: Type.Optional(
      Type.Boolean({ description: "true without it; false, and without a default: what has no value is left out of the actions" }),
    ),
    min: Type.Optional(Type.Number({ description: "Of a number; of a text its characters, of a duration its seconds" })),
    max: Type.Optional(Type.Number()),
    pattern: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: MAX_PATTERN_CHARS,
        description: "What all of a text looks like; docs/templates.md has the signs",
      }),
    ),
    values: Type.Optional(
      Type.Array(Type.Union([Type.String({ maxLength: 256 }), Type.Number(), Type.Boolean()]), {
        minItems: 1,
        maxItems: 50,
        uniqueItems: true,
        description: "Of an enum",
      }),
    ),
    properties: Type.Optional(Type.Array(Type.Unknown(), { minItems: 1, maxItems: 20, description: "Of an object: variables again" })),
  },
  { additionalProperties: false, title: "TemplateVariable" },
);
type Node = Static<typeof TemplateVariable>;

const parseNode = parserFor(TemplateVariable);

/** The variables that are right; what is wrong with the others is among the faults. */
export function parseVariables(input: readonly unknown[], path: string, faults: Faults): Variable[] {
  const count = { variables: 0, choices: 0 };
  const variables = parseLevel(input, path, { faults, depth: 1, count });
  for (const [index, { name }] of variables.entries())
    if (RESERVED.has(name)) faults.add(`${path}/${index}/name`, `is a name of the hub's own: ${BUILTINS.join(", ")}`);
  if (count.variables > MOST_VARIABLES) faults.add(path, `are ${count.variables} with those inside, ${MOST_VARIABLES} are allowed`);
  if (count.choices > MOST_CHOICES) faults.add(path, `have ${count.choices} values of enums, ${MOST_CHOICES} are allowed together`);
  return variables;
}

interface Level {
  readonly faults: Faults;
  readonly depth: number;
  readonly count: { variables: number; choices: number };
}

function parseLevel(input: readonly unknown[], path: string, level: Level): Variable[] {
  const { faults, depth, count } = level;
  if (depth > MOST_LEVELS) {
    faults.add(path, `is nested more than ${MOST_LEVELS} levels deep`);
    return [];
  }
  const names = new Set<string>();
  return input.flatMap((one, index) => {
    const at = `${path}/${index}`;
    count.variables++;
    const node = faults.collect(at, () => parseNode(one));
    if (!node) return [];
    if (names.has(node.name)) faults.add(`${at}/name`, "is there twice");
    names.add(node.name);
    count.choices += node.values?.length ?? 0;
    checkOptions(node, at, faults);
    return [variableOf(node, at, level)];
  });
}

const MEASURED: readonly VariableType[] = ["string", "number", "integer", "duration"];

/** What only some types can have. */
function checkOptions({ type, min, max, pattern, values, properties }: Node, path: string, faults: Faults): void {
  const only = (isThere: boolean, option: string, types: readonly VariableType[]): void => {
    if (isThere && !types.includes(type)) faults.add(`${path}/${option}`, `is for ${types.join(", ")} alone`);
  };
  only(min !== undefined, "min", MEASURED);
  only(max !== undefined, "max", MEASURED);
  only(pattern !== undefined, "pattern", ["string"]);
  only(values !== undefined, "values", ["enum"]);
  only(properties !== undefined, "properties", ["object"]);
  if (type === "enum" && values === undefined) faults.add(path, "needs values");
  if (type === "object" && properties === undefined) faults.add(path, "needs properties");
  for (const [option, bound] of Object.entries({ min, max })) {
    if (bound === undefined) continue;
    if ((type === "integer" || type === "string") && !Number.isSafeInteger(bound)) faults.add(`${path}/${option}`, "has to be whole");
    if ((type === "string" || type === "duration") && bound < 0) faults.add(`${path}/${option}`, "has to be 0 or more");
  }
  if (type === "string" && (min ?? 0) > MAX_TEXT) faults.add(`${path}/min`, `is more than the ${MAX_TEXT} characters that there may be`);
  if (min !== undefined && max !== undefined && min > max) faults.add(`${path}/max`, "is less than min");
}

function variableOf(node: Node, path: string, { faults, depth, count }: Level): Variable {
  const { name, type, required, min, max, values = [] } = node;
  const variable: Variable = {
    name,
    type,
    min,
    max,
    values,
    isRequired: required ?? true,
    pattern: node.pattern === undefined ? undefined : faults.collect("", () => parseTextPattern(node.pattern as string, `${path}/pattern`)),
    properties: parseLevel(node.properties ?? [], `${path}/properties`, { faults, depth: depth + 1, count }),
    preset: undefined,
  };
  if (node.default === undefined) return variable;
  return { ...variable, preset: valueOf(variable, node.default, `${path}/default`, faults) };
}

/** The value as it goes into the actions; undefined where it is wrong, which is among the faults. */
function valueOf(variable: Variable, given: unknown, path: string, faults: Faults): unknown {
  if (variable.type === "object") {
    if (typeof given === "object" && given !== null && !Array.isArray(given)) return valuesOf(variable.properties, given, path, faults);
    faults.add(path, "has to be an object");
    return undefined;
  }
  const value = variable.type === "duration" ? secondsOf(given) : given;
  const wrong = whatIsWrong(variable, value);
  if (wrong === undefined) return value;
  faults.add(path, wrong);
  return undefined;
}

/** Of every variable its value, the default where none is given, or nothing where there need not be one. */
export function valuesOf(variables: readonly Variable[], given: object, path: string, faults: Faults): Record<string, unknown> {
  for (const name of Object.keys(given))
    if (!variables.some((one) => one.name === name))
      faults.add(`${path}/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`, "is no variable of the template");
  return Object.fromEntries(
    variables.flatMap((variable): [string, unknown][] => {
      const { name, preset, isRequired, type } = variable;
      const at = `${path}/${name}`;
      const own: unknown = Object.hasOwn(given, name) ? (given as Record<string, unknown>)[name] : undefined;
      if (own !== undefined) return [[name, valueOf(variable, own, at, faults)]];
      if (preset !== undefined) return [[name, preset]];
      if (!isRequired) return [];
      // What is missing of it is told, and nothing may be: its properties can have defaults.
      if (type === "object") return [[name, valuesOf(variable.properties, {}, at, faults)]];
      faults.add(at, "is missing");
      return [];
    }),
  );
}

/** The variable of a name with dots. */
export function findVariable(variables: readonly Variable[], name: string): Variable | undefined {
  const [first, ...rest] = name.split(".");
  const found = variables.find((one) => one.name === first);
  return found === undefined || rest.length === 0 ? found : findVariable(found.properties, rest.join("."));
}

/** Whether it, or what it is inside of, may be without a value. */
export function mayBeAbsent(variables: readonly Variable[], name: string): boolean {
  const levels = name.split(".");
  return levels.some((_, index) => {
    const one = findVariable(variables, levels.slice(0, index + 1).join("."));
    return one !== undefined && !one.isRequired && one.preset === undefined;
  });
}

/** What is there of that name, with dots, and inherited by nobody; undefined for nothing. */
export function memberOf(values: unknown, name: string): unknown {
  let value = values;
  for (const level of name.split(".")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, level)) return undefined;
    value = (value as Record<string, unknown>)[level];
  }
  return value;
}
