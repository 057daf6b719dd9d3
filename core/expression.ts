import jsep from "jsep";
import { fault } from "./definition.ts";

type Parsed = jsep.Expression;

/** What an expression comes to with these values, in the order of the names that it was made for. Not finite for what cannot be worked out. */
export type Expression = (values: readonly number[]) => number;

export const EXPRESSION_LIMITS = { chars: 500, nodes: 200, depth: 32 } as const;

type Calculation = (...of: readonly number[]) => number;
interface Function {
  readonly apply: Calculation;
  readonly arguments: readonly [least: number, most: number];
}

const of = (apply: Calculation, least: number, most = least): Function => ({ apply, arguments: [least, most] });

const FUNCTIONS: Readonly<Record<string, Function>> = {
  min: of(Math.min, 1, 16),
  max: of(Math.max, 1, 16),
  abs: of(Math.abs, 1),
  round: of((x = Number.NaN, digits = 0) => round(x, digits), 1, 2),
  floor: of(Math.floor, 1),
  ceil: of(Math.ceil, 1),
  sqrt: of(Math.sqrt, 1),
  pow: of(Math.pow, 2),
  log: of(Math.log, 1),
  exp: of(Math.exp, 1),
  clamp: of((x = Number.NaN, least = Number.NaN, most = Number.NaN) => Math.min(Math.max(x, least), most), 3),
  dew_point: of((t = Number.NaN, rh = Number.NaN) => dewPoint(t, rh), 2),
  absolute_humidity: of((t = Number.NaN, rh = Number.NaN) => absoluteHumidity(t, rh), 2),
};

/** Of what is not known nothing is true or false. */
const when =
  (holds: (left: number, right: number) => boolean) =>
  (left: number, right: number): number =>
    Number.isNaN(left) || Number.isNaN(right) ? Number.NaN : Number(holds(left, right));
const isTrue = (value: number): number => (Number.isNaN(value) ? value : Number(value !== 0));

const BINARY: Readonly<Record<string, (left: number, right: number) => number>> = {
  "+": (left, right) => left + right,
  "-": (left, right) => left - right,
  "*": (left, right) => left * right,
  "/": (left, right) => left / right,
  "%": (left, right) => left % right,
  "**": (left, right) => left ** right,
  "<": when((left, right) => left < right),
  "<=": when((left, right) => left <= right),
  ">": when((left, right) => left > right),
  ">=": when((left, right) => left >= right),
  "==": when((left, right) => left === right),
  "!=": when((left, right) => left !== right),
};

/** A name cannot be one of these. */
export const RESERVED_NAMES: ReadonlySet<string> = new Set([...Object.keys(FUNCTIONS), "if", "true", "false", "null", "this"]);

/**
 * A text like `if(rh > 60, dew_point(t, rh), t)`; 0 is false and everything else is true. It knows numbers, these names and the functions
 * above, and nothing else: there is no way from it to anything of the hub. Throws `validation_error` with `path`.
 */
export function parseExpression(text: string, names: readonly string[], path: string): Expression {
  if (text.length > EXPRESSION_LIMITS.chars) throw fault(path, `is longer than ${EXPRESSION_LIMITS.chars} characters`);
  return new Compiler(names, path).compile(treeOf(text, path), 1);
}

function treeOf(text: string, path: string): Parsed {
  try {
    return jsep(text);
  } catch (error) {
    const { description, index } = error as { description?: string; index?: number };
    throw fault(path, `cannot be read at character ${(index ?? 0) + 1}: ${description ?? "it makes no sense"}`);
  }
}

class Compiler {
  readonly #names: readonly string[];
  readonly #path: string;
  #nodes = 0;

  constructor(names: readonly string[], path: string) {
    this.#names = names;
    this.#path = path;
  }

  compile(node: Parsed, depth: number): Expression {
    if (depth > EXPRESSION_LIMITS.depth) throw this.#fault(`is nested more than ${EXPRESSION_LIMITS.depth} levels deep`);
    if (++this.#nodes > EXPRESSION_LIMITS.nodes) throw this.#fault(`has more than ${EXPRESSION_LIMITS.nodes} parts`);
    const part = (child: unknown): Expression => this.compile(child as Parsed, depth + 1);
    switch (node.type) {
      case "Literal":
        return this.#literal(node["value"]);
      case "Identifier":
        return this.#name(node["name"] as string);
      case "UnaryExpression":
        return this.#unary(node["operator"] as string, part(node["argument"]));
      case "BinaryExpression":
        return this.#binary(node["operator"] as string, part(node["left"]), part(node["right"]));
      case "ConditionalExpression":
        return choice(part(node["test"]), part(node["consequent"]), part(node["alternate"]));
      case "CallExpression":
        return this.#call(node["callee"] as Parsed, (node["arguments"] as unknown[]).map(part));
      default:
        throw this.#fault("has something that is no number, name, function or operator");
    }
  }

  #literal(value: unknown): Expression {
    if (typeof value !== "number" && typeof value !== "boolean") throw this.#fault("has something that is no number");
    const number = Number(value);
    return () => number;
  }

  #name(name: string): Expression {
    const index = this.#names.indexOf(name);
    if (index === -1) throw this.#fault(`names ${name}, which is no input`);
    return (values) => values[index] as number;
  }

  #unary(operator: string, operand: Expression): Expression {
    if (operator === "-") return (values) => -operand(values);
    if (operator === "+") return operand;
    if (operator === "!") return (values) => 1 - isTrue(operand(values));
    throw this.#fault(`has an operator that there is not: ${operator}`);
  }

  #binary(operator: string, left: Expression, right: Expression): Expression {
    if (operator === "&&") return choice(left, (values) => isTrue(right(values)), FALSE);
    if (operator === "||") return choice(left, TRUE, (values) => isTrue(right(values)));
    const apply = Object.hasOwn(BINARY, operator) ? BINARY[operator] : undefined;
    if (!apply) throw this.#fault(`has an operator that there is not: ${operator}`);
    return (values) => apply(left(values), right(values));
  }

  #call({ type, name: called }: Parsed, operands: readonly Expression[]): Expression {
    const name = called as string;
    if (type !== "Identifier") throw this.#fault("calls something that has no name");
    if (name === "if") {
      const [test, then, otherwise] = operands;
      if (!test || !then || !otherwise || operands.length > 3) throw this.#fault("has an if without three arguments");
      return choice(test, then, otherwise);
    }
    const known = Object.hasOwn(FUNCTIONS, name) ? FUNCTIONS[name] : undefined;
    if (!known) throw this.#fault(`calls ${name}, which is no function`);
    const [least, most] = known.arguments;
    if (operands.length < least || operands.length > most)
      throw this.#fault(`calls ${name} with ${operands.length} arguments, it takes ${least === most ? least : `${least} to ${most}`}`);
    return (values) => known.apply(...operands.map((operand) => operand(values)));
  }

  #fault(message: string): Error {
    return fault(this.#path, message);
  }
}

const choice =
  (test: Expression, then: Expression, otherwise: Expression): Expression =>
  (values) => {
    const is = test(values);
    return Number.isNaN(is) ? is : is === 0 ? otherwise(values) : then(values);
  };
const TRUE: Expression = () => 1;
const FALSE: Expression = () => 0;

/** To so many decimals, the half away from zero. */
function round(x: number, digits: number): number {
  const factor = 10 ** digits;
  return (Math.sign(x) * Math.round(Math.abs(x) * factor)) / factor;
}

/** Of the Magnus formula over water (Sonntag 1990), which holds from −45 to 60 °C. */
const MAGNUS = { a: 17.62, b: 243.12, pressureHPa: 6.112 } as const;

/** °C, of a temperature in °C and a relative humidity in %. */
function dewPoint(celsius: number, percent: number): number {
  const gamma = Math.log(percent / 100) + (MAGNUS.a * celsius) / (MAGNUS.b + celsius);
  return (MAGNUS.b * gamma) / (MAGNUS.a - gamma);
}

/** g/m³, of the same. */
function absoluteHumidity(celsius: number, percent: number): number {
  const vapourPa = percent * MAGNUS.pressureHPa * Math.exp((MAGNUS.a * celsius) / (MAGNUS.b + celsius));
  return (vapourPa * GRAMS_PER_MOLE) / (GAS_CONSTANT * (celsius + 273.15));
}

const GRAMS_PER_MOLE = 18.015_28;
const GAS_CONSTANT = 8.314_462_618;
