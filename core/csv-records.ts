import type { TextLine } from "./text-lines.ts";

/** The cells of a record (RFC 4180), or what is wrong with it; `number` is its first line's. */
export type CsvRecord =
  | { readonly number: number; readonly cells: readonly string[] }
  | { readonly number: number; readonly fault: "line_too_long" | "bad_utf8" | "bad_csv" };

interface Line {
  readonly number: number;
  readonly text: string;
}

/**
 * Makes records of lines: a quoted cell may go on over several. Where a quote does not end within `maxChars`, only the line that it stands in
 * is lost, and reading goes on with the next one.
 */
export class CsvReader {
  readonly #maxChars: number;
  #open: Line[] = [];
  #chars = 0;
  #isQuoted = false;

  constructor(maxChars: number) {
    this.#maxChars = maxChars;
  }

  *push(line: TextLine): Generator<CsvRecord> {
    if ("fault" in line) {
      yield* this.end();
      yield line;
    } else yield* this.#take([line]);
  }

  *end(): Generator<CsvRecord> {
    while (this.#open.length > 0) {
      const [first, ...others] = this.#close() as [Line, ...Line[]];
      yield { number: first.number, fault: "bad_csv" };
      yield* this.#take(others);
    }
  }

  *#take(lines: readonly Line[]): Generator<CsvRecord> {
    let waiting = lines;
    for (let at = 0; at < waiting.length; at++) {
      this.#add(waiting[at] as Line);
      if (this.#isQuoted && this.#chars <= this.#maxChars) continue;
      const isQuoted = this.#isQuoted;
      const record = this.#close();
      const [first, ...others] = record as [Line, ...Line[]];
      const cells = isQuoted ? undefined : cellsOf(record.map(({ text }) => text).join(""));
      if (cells) yield { number: first.number, cells };
      else yield { number: first.number, fault: "bad_csv" };
      if (cells || others.length === 0) continue;
      waiting = [...others, ...waiting.slice(at + 1)];
      at = -1;
    }
  }

  #add(line: Line): void {
    this.#open.push(line);
    this.#chars += line.text.length;
    for (let at = line.text.indexOf('"'); at >= 0; at = line.text.indexOf('"', at + 1)) this.#isQuoted = !this.#isQuoted;
  }

  #close(): Line[] {
    const lines = this.#open;
    this.#open = [];
    this.#chars = 0;
    this.#isQuoted = false;
    return lines;
  }
}

const CELL = /(?:"((?:[^"]|"")*)"|([^",]*))(,|$)/y;

/** undefined where a quote stands within a cell that is not quoted, or something behind one that is. */
function cellsOf(record: string): string[] | undefined {
  const text = record.replace(/(\r?\n|\r)$/, "");
  if (!text.includes('"')) return text.split(",");
  const cells: string[] = [];
  for (let at = 0; ; at = CELL.lastIndex) {
    CELL.lastIndex = at;
    const found = CELL.exec(text);
    if (!found) return undefined;
    const [, quoted, plain = "", separator] = found;
    cells.push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
    if (separator === "") return cells;
  }
}
