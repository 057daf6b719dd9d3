import { fault } from "./definition.ts";
import type { Faults } from "./faults.ts";

/** Where a text of a template has placeholders. */
export interface Place {
  /** JSON Pointer. */
  readonly path: string;
  /** Of the variables, in their order. */
  readonly names: readonly string[];
  /** The text is one placeholder and nothing else: it takes the value as it is, not as text. */
  readonly isAlone: boolean;
  /** Inside of a list, which cannot do without one of its items. */
  readonly isItem: boolean;
}

export const VARIABLE_NAME = "[A-Za-z][A-Za-z0-9_]{0,63}";
const TOKEN = new RegExp(`\\{\\{\\{\\{|\\{\\{(?!\\{)(?:\\s*(${VARIABLE_NAME}(?:\\.${VARIABLE_NAME}){0,7})\\s*\\}\\})?`, "g");

/** Text as it is, and names of variables. */
type Piece = { readonly text: string } | { readonly name: string };

/** undefined where a placeholder is begun that is none. */
function piecesOf(text: string): Piece[] | undefined {
  const pieces: Piece[] = [];
  let plain = "";
  let at = 0;
  for (const match of text.matchAll(TOKEN)) {
    const [token, name] = match;
    plain += text.slice(at, match.index);
    at = match.index + token.length;
    if (token === "{{{{") plain += "{{";
    else if (name === undefined) return undefined;
    else {
      if (plain !== "") pieces.push({ text: plain });
      plain = "";
      pieces.push({ name });
    }
  }
  plain += text.slice(at);
  if (plain !== "" || pieces.length === 0) pieces.push({ text: plain });
  return pieces;
}

const pointer = (path: string, name: string): string => `${path}/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`;

/** Every place of `value`, which stands at `path`. */
export function placesIn(value: unknown, path: string, faults: Faults, isItem = false): Place[] {
  if (typeof value === "string") {
    const pieces = piecesOf(value);
    if (!pieces) {
      faults.add(path, "has {{ that begins no placeholder: {{name}} is one, and {{{{ writes {{");
      return [];
    }
    const names = pieces.flatMap((piece) => ("name" in piece ? [piece.name] : []));
    return names.length === 0 ? [] : [{ path, names, isAlone: pieces.length === 1, isItem }];
  }
  if (typeof value !== "object" || value === null) return [];
  if (Array.isArray(value)) return value.flatMap((one, index) => placesIn(one, `${path}/${index}`, faults, true));
  return Object.entries(value).flatMap(([name, one]) => {
    if (name.includes("{{")) faults.add(pointer(path, name), "has {{ in its name: placeholders stand in values");
    return placesIn(one, pointer(path, name), faults);
  });
}

/** Characters that values may bring in, so that a template cannot grow without end. */
export interface Growth {
  left: number;
}

/**
 * A copy with every placeholder replaced, once: what a value says is never read as a placeholder or as JSON. Of a placeholder
 * alone whose value is undefined the member is left out; inside of text it is nothing. Throws `validation_error` when it grows
 * too much.
 */
export function substitute(value: unknown, valueOf: (name: string) => unknown, growth: Growth): unknown {
  if (typeof value === "string") return substituteText(value, valueOf, growth);
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((one) => substitute(one, valueOf, growth)).filter((one) => one !== undefined);
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, one]) => {
      const made = substitute(one, valueOf, growth);
      return made === undefined ? [] : [[name, made]];
    }),
  );
}

function substituteText(text: string, valueOf: (name: string) => unknown, growth: Growth): unknown {
  if (!text.includes("{{")) return text;
  // What is stored was looked through when it was written.
  const pieces = piecesOf(text) ?? [{ text }];
  const grow = (chars: number): void => {
    if ((growth.left -= chars) < 0) throw fault("/", "becomes too large with these values");
  };
  const [first] = pieces;
  if (pieces.length === 1 && first && "name" in first) {
    const value = valueOf(first.name);
    grow(typeof value === "string" ? value.length : (JSON.stringify(value) ?? "").length);
    return value;
  }
  return pieces
    .map((piece) => {
      if ("text" in piece) return piece.text;
      const said = textOf(valueOf(piece.name));
      grow(said.length);
      return said;
    })
    .join("");
}

const textOf = (value: unknown): string => (value === undefined ? "" : typeof value === "string" ? value : JSON.stringify(value));
