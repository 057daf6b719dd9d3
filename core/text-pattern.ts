import { fault } from "./definition.ts";

/** What a whole text has to look like. */
export interface TextPattern {
  matches(text: string): boolean;
}

/** One character of the text, or none. */
interface Step {
  /** Index into the pattern's kinds of characters. */
  readonly kind: number;
  readonly isOptional: boolean;
  readonly isRepeated: boolean;
}

export const MAX_PATTERN_CHARS = 200;
const MAX_STEPS = 128;
const MAX_COUNT = 100;
const ATOM = /\\[dDsSwW]|\\[pP]\{[A-Za-z_=]{1,40}\}|\\[^A-Za-z0-9]|\[(?:\\.|[^\]\\])+\]|[^\\()[\]{}|*+?^$]/suy;
const COUNT = /[?*+]|\{(\d{1,3})(,(\d{1,3})?)?\}/y;

/**
 * Characters, `.`, classes, `\d \s \w \p{…}`, each with `? * + {m} {m,} {m,n}`, and `|` between alternatives; nothing else of
 * regular expressions. Whoever writes a pattern is not whoever fills it in, so the time has to grow with the text alone: all
 * places that the text may have reached are followed together, and none is tried again. Throws `validation_error`.
 */
export function parseTextPattern(source: string, path: string): TextPattern {
  const kinds = new Map<string, { readonly index: number; readonly one: RegExp }>();
  const alternatives: Step[][] = [[]];
  let steps = 0;
  for (let at = 0; at < source.length; ) {
    const current = alternatives.at(-1) as Step[];
    const sign = source[at];
    if (sign === "|") alternatives.push([]);
    // All of the text is meant in any case.
    const isEdge = (sign === "^" && current.length === 0) || (sign === "$" && (at + 1 === source.length || source[at + 1] === "|"));
    if (sign === "|" || isEdge) {
      at++;
      continue;
    }
    const atom = matchAt(ATOM, source, at)?.[0];
    if (atom === undefined) throw fault(path, `is not understood from character ${at + 1} on: no groups, references or assertions`);
    at += atom.length;
    const kind = kinds.get(atom) ?? { index: kinds.size, one: characterOf(atom, path) };
    kinds.set(atom, kind);
    const count = matchAt(COUNT, source, at);
    at += count?.[0].length ?? 0;
    const { min, max } = rangeOf(count, path);
    for (let n = 0; n < min; n++) current.push({ kind: kind.index, isOptional: false, isRepeated: false });
    if (max === Infinity) current.push({ kind: kind.index, isOptional: true, isRepeated: true });
    else for (let n = min; n < max; n++) current.push({ kind: kind.index, isOptional: true, isRepeated: false });
    steps += max === Infinity ? min + 1 : max;
    if (steps > MAX_STEPS) throw fault(path, `stands for more than ${MAX_STEPS} characters`);
  }
  const characters = [...kinds.values()].map(({ one }) => one);
  return { matches: (text) => alternatives.some((each) => matchesAll(each, characters, text)) };
}

function matchAt(expression: RegExp, text: string, at: number): RegExpExecArray | null {
  expression.lastIndex = at;
  return expression.exec(text);
}

function characterOf(atom: string, path: string): RegExp {
  try {
    return new RegExp(`^${atom}$`, "su");
  } catch {
    throw fault(path, `has ${atom}, which stands for no character`);
  }
}

function rangeOf(count: RegExpExecArray | null, path: string): { readonly min: number; readonly max: number } {
  const [sign, from = "", more, to] = count ?? [];
  if (sign === undefined) return { min: 1, max: 1 };
  if (sign === "?") return { min: 0, max: 1 };
  if (sign === "*") return { min: 0, max: Infinity };
  if (sign === "+") return { min: 1, max: Infinity };
  const min = Number(from);
  const max = more === undefined ? min : to === undefined ? Infinity : Number(to);
  if (max < min || min > MAX_COUNT || (max > MAX_COUNT && max !== Infinity))
    throw fault(path, `has ${sign}, which is no range up to ${MAX_COUNT}`);
  return { min, max };
}

function matchesAll(steps: readonly Step[], characters: readonly RegExp[], text: string): boolean {
  /** 1 for each step that the text may have come to, the last for its end. */
  let places = new Uint8Array(steps.length + 1);
  let next = new Uint8Array(steps.length + 1);
  reach(steps, places, 0);
  for (const character of text) {
    next.fill(0);
    const fits: (boolean | undefined)[] = [];
    let isAnywhere = false;
    for (const [at, { kind, isRepeated }] of steps.entries()) {
      if (places[at] !== 1 || !(fits[kind] ??= characters[kind]?.test(character) === true)) continue;
      isAnywhere = true;
      reach(steps, next, isRepeated ? at : at + 1);
    }
    if (!isAnywhere) return false;
    [places, next] = [next, places];
  }
  return places[steps.length] === 1;
}

/** The step, and those behind it that may be left out. */
function reach(steps: readonly Step[], places: Uint8Array, from: number): void {
  for (let at = from; places[at] === 0; at++) {
    places[at] = 1;
    if (steps[at]?.isOptional !== true) return;
  }
}
