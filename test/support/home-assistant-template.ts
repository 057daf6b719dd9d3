/**
 * Renders the part of Home Assistant's templates that discovery messages need: text with `{{ … }}` of paths, literals, filters, tests,
 * comparisons and `a if b else c`, and `{% if … %}` (www.home-assistant.io/docs/configuration/templating). Throws on everything else.
 */
export function render(template: string, value: string, more: Readonly<Record<string, unknown>> = {}): string {
  const variables: Record<string, unknown> = { ...more, value, value_json: jsonOf(value) };
  const evaluate = (source: string): unknown => new Expression(source, variables).evaluate();
  let rendered = "";
  // Of each open `if`: whether this branch is read, and whether one was.
  const open: { isRead: boolean; wasRead: boolean }[] = [];
  for (const part of template.split(/(\{[{%].*?[%}]\})/s)) {
    const [, kind, source = ""] = /^\{([{%])-?(.*?)-?[%}]\}$/s.exec(part) ?? [];
    const [, word, condition] = kind === "%" ? (/^\s*(if|elif|else|endif)\b(.*)$/s.exec(source) ?? [undefined, "unknown"]) : [];
    const isRead = open.every((branch) => branch.isRead);
    const last = open.at(-1);
    if (word === undefined) {
      if (isRead) rendered += kind === "{" ? shown(evaluate(source)) : part;
    } else if (word === "if") {
      const isTaken = isRead && isTrue(evaluate(condition ?? ""));
      open.push({ isRead: isTaken, wasRead: isTaken });
    } else if (word === "endif" && last) open.pop();
    else if (last && (word === "elif" || word === "else")) {
      last.isRead = !last.wasRead && (word === "else" || isTrue(evaluate(condition ?? "")));
      last.wasRead ||= last.isRead;
    } else throw new Error(`{%${source}%} is not understood here`);
  }
  if (open.length > 0) throw new Error("an if has no end");
  return rendered.trim();
}

const TOKEN = /\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\d+(?:\.\d+)?|[A-Za-z_]\w*|==|!=|<=|>=|[-+*/<>.|()[\],{}:])/y;

function jsonOf(value: string): unknown {
  try {
    return JSON.parse(value);
  } catch {
    return undefined;
  }
}

/** As Python writes it. */
function shown(value: unknown): string {
  if (value === undefined) return "";
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  return typeof value === "string" ? value : JSON.stringify(value);
}

const isTrue = (value: unknown): boolean => (Array.isArray(value) ? value.length > 0 : Boolean(value));

function numberOf(value: unknown, otherwise: unknown): unknown {
  const number = typeof value === "string" && value.trim() === "" ? Number.NaN : Number(value);
  if (!Number.isNaN(number) && value !== null && value !== undefined) return number;
  if (otherwise === undefined) throw new Error(`${shown(value)} is no number`);
  return otherwise;
}

const FILTERS: Readonly<Record<string, (value: unknown, args: readonly unknown[]) => unknown>> = {
  default: (value, [otherwise, alsoFalse]) => (value === undefined || (alsoFalse === true && !isTrue(value)) ? (otherwise ?? "") : value),
  float: (value, [otherwise]) => numberOf(value, otherwise),
  int: (value, [otherwise]) => {
    const number = numberOf(value, otherwise);
    return typeof number === "number" ? Math.trunc(number) : number;
  },
  lower: (value) => shown(value).toLowerCase(),
  upper: (value) => shown(value).toUpperCase(),
  round: (value, [digits = 0]) => Number(Number(value).toFixed(Number(digits))),
  string: (value) => shown(value),
  tojson: (value) => JSON.stringify(value),
  to_json: (value) => JSON.stringify(value),
};

const TESTS: Readonly<Record<string, (value: unknown) => boolean>> = {
  defined: (value) => value !== undefined,
  none: (value) => value === null,
  number: (value) => typeof value === "number",
  string: (value) => typeof value === "string",
};

const COMPARISONS: Readonly<Record<string, (a: never, b: never) => boolean>> = {
  "==": (a, b) => a === b,
  "!=": (a, b) => a !== b,
  "<": (a, b) => a < b,
  ">": (a, b) => a > b,
  "<=": (a, b) => a <= b,
  ">=": (a, b) => a >= b,
};

class Expression {
  readonly #tokens: string[] = [];
  readonly #variables: Readonly<Record<string, unknown>>;
  #at = 0;

  constructor(source: string, variables: Readonly<Record<string, unknown>>) {
    this.#variables = variables;
    TOKEN.lastIndex = 0;
    const text = source.trim();
    while (TOKEN.lastIndex < text.length) {
      const from = TOKEN.lastIndex;
      const match = TOKEN.exec(text);
      if (!match) throw new Error(`${text.slice(from)} is not understood here`);
      this.#tokens.push(match[1] as string);
    }
  }

  evaluate(): unknown {
    const value = this.#choice();
    if (this.#at < this.#tokens.length) throw new Error(`${this.#tokens.slice(this.#at).join(" ")} is not understood here`);
    return value;
  }

  #takes(...tokens: readonly string[]): string | undefined {
    const next = this.#tokens[this.#at];
    if (next === undefined || !tokens.includes(next)) return undefined;
    this.#at++;
    return next;
  }

  #needs(token: string): void {
    if (this.#takes(token) === undefined) throw new Error(`${token} is missing`);
  }

  #choice(): unknown {
    const value = this.#or();
    if (!this.#takes("if")) return value;
    const condition = this.#or();
    const otherwise = this.#takes("else") ? this.#choice() : undefined;
    return isTrue(condition) ? value : otherwise;
  }

  #or(): unknown {
    let value = this.#and();
    while (this.#takes("or")) {
      const other = this.#and();
      value = isTrue(value) ? value : other;
    }
    return value;
  }

  #and(): unknown {
    let value = this.#not();
    while (this.#takes("and")) {
      const other = this.#not();
      value = isTrue(value) ? other : value;
    }
    return value;
  }

  #not(): unknown {
    return this.#takes("not") ? !isTrue(this.#not()) : this.#comparison();
  }

  #comparison(): unknown {
    const value = this.#sum();
    if (this.#takes("is")) {
      const isNegated = this.#takes("not") !== undefined;
      const test = TESTS[this.#tokens[this.#at++] ?? ""];
      if (!test) throw new Error("a test is not understood here");
      return test(value) !== isNegated;
    }
    const isNegated = this.#takes("not") !== undefined;
    if (isNegated || this.#tokens[this.#at] === "in") {
      this.#needs("in");
      const list = this.#sum();
      return (Array.isArray(list) ? list.includes(value) : shown(list).includes(shown(value))) !== isNegated;
    }
    const sign = this.#takes(...Object.keys(COMPARISONS));
    return sign === undefined ? value : COMPARISONS[sign]?.(value as never, this.#sum() as never);
  }

  #sum(): unknown {
    let value = this.#product();
    for (let sign = this.#takes("+", "-"); sign !== undefined; sign = this.#takes("+", "-")) {
      const other = Number(this.#product());
      value = sign === "+" ? Number(value) + other : Number(value) - other;
    }
    return value;
  }

  #product(): unknown {
    let value = this.#filtered();
    for (let sign = this.#takes("*", "/"); sign !== undefined; sign = this.#takes("*", "/")) {
      const other = Number(this.#filtered());
      value = sign === "*" ? Number(value) * other : Number(value) / other;
    }
    return value;
  }

  #filtered(): unknown {
    let value = this.#path();
    while (this.#takes("|")) {
      const filter = FILTERS[this.#tokens[this.#at++] ?? ""];
      if (!filter) throw new Error("a filter is not understood here");
      value = filter(value, this.#takes("(") ? this.#list(")", () => this.#choice()) : []);
    }
    return value;
  }

  #list<T>(end: string, one: () => T): T[] {
    const values: T[] = [];
    while (!this.#takes(end)) {
      values.push(one());
      if (this.#takes(",")) continue;
      this.#needs(end);
      break;
    }
    return values;
  }

  #entry(): [string, unknown] {
    const key = shown(this.#choice());
    this.#needs(":");
    return [key, this.#choice()];
  }

  #path(): unknown {
    let value = this.#primary();
    for (;;) {
      if (this.#takes(".")) value = memberOf(value, this.#tokens[this.#at++] ?? "");
      else if (this.#takes("[")) {
        value = memberOf(value, this.#choice());
        this.#needs("]");
      } else return value;
    }
  }

  #primary(): unknown {
    if (this.#takes("(")) {
      const value = this.#choice();
      this.#needs(")");
      return value;
    }
    if (this.#takes("[")) return this.#list("]", () => this.#choice());
    if (this.#takes("{")) return Object.fromEntries(this.#list("}", () => this.#entry()));
    if (this.#takes("-")) return -Number(this.#path());
    const token = this.#tokens[this.#at++];
    if (token === undefined) throw new Error("the expression ends early");
    if (/^["']/.test(token)) return token.slice(1, -1).replaceAll(/\\(.)/g, "$1");
    if (/^\d/.test(token)) return Number(token);
    const literal = { true: true, True: true, false: false, False: false, none: null, None: null }[token];
    if (literal !== undefined) return literal;
    if (!/^\w/.test(token)) throw new Error(`${token} is not understood here`);
    return this.#variables[token];
  }
}

/** Of nothing there is nothing, and asking it for more is an error, as it is in Jinja. */
function memberOf(value: unknown, key: unknown): unknown {
  if (value === undefined) throw new Error(`${shown(key)} is asked of something undefined`);
  if (typeof value !== "object" || value === null) return undefined;
  return Object.hasOwn(value, String(key)) ? (value as Record<string, unknown>)[String(key)] : undefined;
}
