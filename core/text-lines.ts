/** A line with what ends it, or what is wrong with it. Numbers count from 1. */
export type TextLine =
  | { readonly number: number; readonly text: string }
  | { readonly number: number; readonly fault: "line_too_long" | "bad_utf8" };

const LINE_END = 0x0a;

/** Cuts UTF-8 that comes in pieces into lines. Holds one line at most, in a buffer of its own. */
export class LineCutter {
  readonly #decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  readonly #held: Buffer;
  #length = 0;
  #isTooLong = false;
  #number = 0;

  constructor(maxBytes: number) {
    this.#held = Buffer.allocUnsafeSlow(maxBytes);
  }

  *push(piece: Buffer): Generator<TextLine> {
    let from = 0;
    for (let end = piece.indexOf(LINE_END); end >= 0; end = piece.indexOf(LINE_END, from)) {
      const rest = piece.subarray(from, end + 1);
      from = end + 1;
      yield this.#lineOf(rest);
    }
    this.#hold(piece.subarray(from));
  }

  *end(): Generator<TextLine> {
    if (this.#length > 0 || this.#isTooLong) yield this.#lineOf(Buffer.alloc(0));
  }

  #lineOf(rest: Buffer): TextLine {
    const number = ++this.#number;
    // Most lines come in one piece.
    const isWhole = this.#length === 0 && !this.#isTooLong && rest.length <= this.#held.length;
    if (!isWhole) this.#hold(rest);
    const isTooLong = this.#isTooLong;
    const bytes = isWhole ? rest : this.#held.subarray(0, this.#length);
    this.#isTooLong = false;
    this.#length = 0;
    if (isTooLong) return { number, fault: "line_too_long" };
    try {
      return { number, text: this.#decoder.decode(bytes) };
    } catch {
      return { number, fault: "bad_utf8" };
    }
  }

  #hold(bytes: Buffer): void {
    this.#isTooLong ||= this.#length + bytes.length > this.#held.length;
    if (this.#isTooLong) return;
    this.#length += bytes.copy(this.#held, this.#length);
  }
}
