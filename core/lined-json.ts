import { lineFault } from "./line-fault.ts";

/** A value of a JSON file, and the line where it begins. Members of objects keep their order and their line. */
export interface LinedValue {
  readonly line: number;
  readonly value: string | number | boolean | null | readonly LinedValue[] | ReadonlyMap<string, LinedValue>;
}

const TOKEN =
  /[ \t\r\n]*(?:("(?:[ !#-[\]-\uffff]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")|(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)|(true|false|null)|([{}[\],:]))/y;
const LITERALS: Readonly<Record<string, boolean | null>> = { true: true, false: false, null: null };

interface Token {
  readonly kind: "text" | "number" | "literal" | "sign" | "end";
  readonly text: string;
  readonly line: number;
}

/** Where a later member has an earlier one's name, it is refused. Throws `validation_error` with the line. */
export function parseLinedJson(text: string, { maxDepth }: { readonly maxDepth: number }): LinedValue {
  const tokens = tokensOf(text);
  const next = (): Token => tokens.next().value as Token;
  const root = valueOf(next(), next, maxDepth);
  const after = next();
  if (after.kind !== "end") throw lineFault(after.line, "something follows the end of the JSON");
  return root;
}

function* tokensOf(text: string): Generator<Token> {
  const scanner = new RegExp(TOKEN);
  const start = text.startsWith("\uFEFF") ? 1 : 0;
  let line = 1;
  let at = start;
  while (true) {
    scanner.lastIndex = at;
    const match = scanner.exec(text);
    const [whole = text.slice(at), string, number, literal, sign] = match ?? [];
    if (!match && whole.trim() !== "") throw lineFault(line + breaksIn(/^\s*/.exec(whole)?.[0] ?? ""), "is not valid JSON");
    // A text has no line breaks in JSON: they all stand before the token.
    line += breaksIn(whole);
    at += whole.length;
    if (string !== undefined) yield { kind: "text", text: string, line };
    else if (number !== undefined) yield { kind: "number", text: number, line };
    else if (literal !== undefined) yield { kind: "literal", text: literal, line };
    else if (sign !== undefined) yield { kind: "sign", text: sign, line };
    else while (true) yield { kind: "end", text: "", line };
  }
}

function breaksIn(text: string): number {
  let count = 0;
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) count++;
  return count;
}

function valueOf(token: Token, next: () => Token, depth: number): LinedValue {
  const { kind, text, line } = token;
  if (kind === "text") return { line, value: JSON.parse(text) as string };
  if (kind === "number") return { line, value: Number(text) };
  if (kind === "literal") return { line, value: LITERALS[text] as boolean | null };
  if (kind === "sign" && (text === "{" || text === "[")) {
    if (depth === 0) throw lineFault(line, "is nested too deeply");
    return { line, value: text === "{" ? membersOf(next, depth - 1) : itemsOf(next, depth - 1) };
  }
  throw unexpected(token);
}

function membersOf(next: () => Token, depth: number): ReadonlyMap<string, LinedValue> {
  const members = new Map<string, LinedValue>();
  let token = next();
  if (isSign(token, "}")) return members;
  while (true) {
    if (token.kind !== "text") throw unexpected(token);
    const name = JSON.parse(token.text) as string;
    if (members.has(name)) throw lineFault(token.line, `the member ${token.text.slice(0, 60)} stands here for the second time`);
    const colon = next();
    if (!isSign(colon, ":")) throw unexpected(colon);
    members.set(name, valueOf(next(), next, depth));
    token = next();
    if (isSign(token, "}")) return members;
    if (!isSign(token, ",")) throw unexpected(token);
    token = next();
  }
}

function itemsOf(next: () => Token, depth: number): readonly LinedValue[] {
  const items: LinedValue[] = [];
  let token = next();
  if (isSign(token, "]")) return items;
  while (true) {
    items.push(valueOf(token, next, depth));
    token = next();
    if (isSign(token, "]")) return items;
    if (!isSign(token, ",")) throw unexpected(token);
    token = next();
  }
}

const isSign = ({ kind, text }: Token, sign: string): boolean => kind === "sign" && text === sign;

const unexpected = ({ kind, text, line }: Token) =>
  lineFault(line, kind === "end" ? "the file ends in the middle of the JSON" : `is not valid JSON at ${text.slice(0, 40)}`);
