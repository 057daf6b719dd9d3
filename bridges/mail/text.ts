/** Paragraphs of a mail in plain text, after the greeting. */
export const paragraphs = (...all: readonly string[]): string => `Hello,\n\n${all.map(wrapped).join("\n\n")}\n`;

const WIDTH = 72;

/** Longer than a line is only what must not be broken. */
function wrapped(text: string): string {
  return text.split("\n").map(wrappedLine).join("\n");
}

function wrappedLine(text: string): string {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= WIDTH) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines.join("\n");
}

export const timeOf = (date: Date): string => `${date.toISOString().slice(0, 16).replace("T", " ")} UTC`;
