import type { Command } from "./command.ts";
import { Faults } from "./faults.ts";
import { type Place, substitute } from "./placeholders.ts";
import type { Variable } from "./template-value.ts";
import { BUILTINS, findVariable, memberOf } from "./template-variable.ts";

/** What a trial takes for the value of a variable that has none. */
const ABSENT = Symbol("absent");

/** A variable that is tried, by its whole name. */
interface Tried {
  readonly name: string;
  /** Values that the template itself allows: an action that cannot take one of them is a fault of the template. */
  readonly sure: readonly unknown[];
  /** One of its type; undefined for an object, of which its properties are tried. */
  readonly sample: unknown;
}

interface Written {
  readonly actions: readonly unknown[];
  readonly variables: readonly Variable[];
  readonly places: readonly Place[];
}

/** Of each action its places, with all that is tried and has to do with them. */
type Spots = readonly (readonly { readonly path: string; readonly of: readonly string[] }[])[];

interface Trial {
  /** By whole names. An object that is not here is made of its properties. */
  readonly assignment: ReadonlyMap<string, unknown>;
  /** Those that are otherwise than in the first trial. */
  readonly varied: ReadonlySet<string>;
  /** Those whose value is a sample. */
  readonly unsure: ReadonlySet<string>;
}

/** Characters that the values of a trial may bring in. */
const MOST_GROWTH = 65_536;
/** Of actions, over all trials: what is very long is tried with fewer values, a tenth of a second in all. */
const MOST_TRIED_CHARS = 524_288;
const WRONG_TYPE = /^must be (string|integer|number|boolean|object|array)/;

/**
 * Whether the actions are commands once they are filled in: with defaults, all values of enums and booleans, least and
 * greatest numbers, and without what need not be there. Where only a sample can be tried, what is wrong because of it is left
 * for later, when somebody gives a value, but for a type that no value of the variable has.
 */
export function checkTrials(written: Written, parseCommand: (value: unknown) => Command, faults: Faults): void {
  const tried = triedOf(written.variables, "");
  const known = [...BUILTINS, ...tried.map(({ name }) => name)];
  const spots = written.actions.map((_, index) =>
    written.places
      .filter(({ path }) => path === `/actions/${index}` || path.startsWith(`/actions/${index}/`))
      .map(({ path, names }) => ({ path, of: known.filter((name) => names.some((one) => touches(one, name))) })),
  );
  const chars = written.actions.map((action) => JSON.stringify(action).length);
  let left = MOST_TRIED_CHARS;
  for (const [number, trial] of trialsOf(tried).entries())
    for (const [index, here] of spots.entries()) {
      if (number > 0 && !here.some(({ of }) => of.some((name) => trial.varied.has(name)))) continue;
      if (number > 0 && (left -= chars[index] ?? 0) < 0) return;
      tryAction(written, index, { trial, here, parseCommand, faults });
    }
}

/**
 * The members of a command do not depend on each other, so that one trial takes another value of every variable. Objects are
 * tried one by one: what is inside of an absent one would not be.
 */
function trialsOf(tried: readonly Tried[]): Trial[] {
  const leaves = tried.filter(({ sample }) => sample !== undefined);
  const base = new Map<string, unknown>(BUILTINS.map((name) => [name, "x"]));
  for (const { name, sure, sample } of leaves) base.set(name, sure.length > 0 ? sure[0] : sample);
  const unsure = new Set<string>([...BUILTINS, ...leaves.filter(({ sure }) => sure.length === 0).map(({ name }) => name)]);
  const trials: Trial[] = [{ assignment: base, varied: new Set(), unsure }];
  for (let count = 1; ; count++) {
    const varied = leaves.flatMap(({ name, sure, sample }): { name: string; value: unknown; isSure: boolean }[] => {
      if (count < sure.length) return [{ name, value: sure[count], isSure: true }];
      return count === 1 && sure[0] === ABSENT ? [{ name, value: sample, isSure: false }] : [];
    });
    if (varied.length === 0) break;
    trials.push({
      assignment: new Map([...base, ...varied.map(({ name, value }) => [name, value] as const)]),
      varied: new Set(varied.map(({ name }) => name)),
      unsure: new Set([...unsure, ...varied.filter(({ isSure }) => !isSure).map(({ name }) => name)]),
    });
  }
  const objects = tried.filter(({ sample }) => sample === undefined);
  const ofObjects = objects.flatMap(({ name, sure }) => {
    const others = new Set([...unsure].filter((one) => !one.startsWith(`${name}.`)));
    return sure.map((value): Trial => ({ assignment: new Map([...base, [name, value]]), varied: new Set([name]), unsure: others }));
  });
  return [...trials, ...ofObjects];
}

function tryAction(
  { actions, variables }: Written,
  index: number,
  { trial, here, parseCommand, faults }: { trial: Trial; here: Spots[number]; parseCommand: (value: unknown) => Command; faults: Faults },
): void {
  const path = `/actions/${index}`;
  const doubtful = here.filter(({ of }) => of.some((name) => trial.unsure.has(name)));
  const found = new Faults();
  const valueOf = (name: string): unknown => assigned(variables, name, trial.assignment);
  found.collect(path, () => parseCommand(substitute(actions[index], valueOf, { left: MOST_GROWTH })));
  for (const { path: at, message } of found.all) {
    // Which members there are follows from which command it is.
    const isDoubtful = doubtful.some((one) => one.path === at || at.startsWith(`${one.path}/`) || one.path === `${path}/command`);
    const spot = here.filter((one) => one.path === at);
    if (isDoubtful && (spot.length === 0 || !WRONG_TYPE.test(message))) continue;
    faults.add(at, `${message}${causeOf(spot.length === 0 ? here : spot, trial)}`);
  }
}

/** Which of the values it is about, where it is about some more than in the first trial. */
function causeOf(spots: Spots[number], { assignment, varied }: Trial): string {
  const names = [...new Set(spots.flatMap(({ of }) => of))].filter((name) => varied.has(name));
  const said = names.slice(0, 3).map((name) => {
    const value = assignment.get(name);
    return value === ABSENT ? `without ${name}` : `with ${name} = ${JSON.stringify(value)?.slice(0, 60)}`;
  });
  return said.length === 0 ? "" : ` ${said.join(", ")}`;
}

function assigned(variables: readonly Variable[], name: string, assignment: Trial["assignment"]): unknown {
  const levels = name.split(".");
  for (let count = 1; count <= levels.length; count++) {
    const outer = levels.slice(0, count).join(".");
    if (!assignment.has(outer)) continue;
    const value = assignment.get(outer);
    if (value === ABSENT) return undefined;
    return count === levels.length ? value : memberOf(value, levels.slice(count).join("."));
  }
  const properties = findVariable(variables, name)?.properties ?? [];
  return Object.fromEntries(
    properties.flatMap((one) => {
      const value = assigned(variables, `${name}.${one.name}`, assignment);
      return value === undefined ? [] : [[one.name, value]];
    }),
  );
}

/** Whether the one is the other, inside of it, or around it. */
const touches = (one: string, other: string): boolean => one === other || one.startsWith(`${other}.`) || other.startsWith(`${one}.`);

function triedOf(variables: readonly Variable[], prefix: string): Tried[] {
  return variables.flatMap((variable) => {
    const name = `${prefix}${variable.name}`;
    const { preset, isRequired, type, properties } = variable;
    const itself = preset === undefined ? (isRequired ? [] : [ABSENT]) : [preset];
    if (type === "object") return [...triedOf(properties, `${name}.`), { name, sure: itself, sample: undefined }];
    return [{ name, sure: [...new Set([...itself, ...sureValues(variable)])], sample: sampleOf(variable) }];
  });
}

function sureValues({ type, values, min, max }: Variable): unknown[] {
  if (type === "enum") return [...values];
  if (type === "boolean") return [true, false];
  return type === "string" ? [] : [min, max].filter((bound) => bound !== undefined);
}

function sampleOf({ type, min }: Variable): unknown {
  if (type === "device") return "device-000000";
  return type === "string" ? "x".repeat(min ?? 1) : 0;
}
