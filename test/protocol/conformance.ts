import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { Chapter } from "./chapter.ts";
import { DIFFERENCES, type Difference } from "./differences.ts";

/*
 * The parts of docs/mqtt-conformance.md that follow from the suite. `node test/protocol/conformance.ts` writes them; a test
 * compares them.
 */

export const PAGE_FILE = path.resolve(import.meta.dirname, "../../docs/mqtt-conformance.md");

/** The chapters in the order of their names, without running them. */
export async function readChapters(): Promise<Chapter[]> {
  const files = readdirSync(import.meta.dirname).filter((name) => name.endsWith(".test.ts") && name !== "conformance.test.ts");
  const modules = await Promise.all(files.toSorted().map((name) => import(`./${name}`) as Promise<{ page: Chapter }>));
  return modules.map(({ page }) => page);
}

/** The page with its generated parts as they should be; what people wrote around them stays. */
export function renderPage(text: string, chapters: readonly Chapter[]): string {
  const parts = { differences: renderDifferences(chapters), claims: renderClaims(chapters) };
  return Object.entries(parts).reduce((page, [name, part]) => {
    const [begin, end] = [`<!-- ${name}: generated -->`, `<!-- end of ${name} -->`];
    const [from, to] = [page.indexOf(begin), page.indexOf(end)];
    if (from < 0 || to < from) throw new Error(`${PAGE_FILE} has no part ${begin} … ${end}`);
    return `${page.slice(0, from + begin.length)}\n\n${part}\n\n${page.slice(to)}`;
  }, text);
}

function renderDifferences(chapters: readonly Chapter[]): string {
  const rows = DIFFERENCES.map((difference) => {
    const { broker, claim, instead, why } = difference;
    return `| ${broker} | ${idsOf(difference, chapters).join(", ")} | ${escaped(claim)} | ${escaped(instead)} | ${escaped(why)} |`;
  });
  return ["| broker | statement | what the standard wants | what it does instead | why |", "|---|---|---|---|---|", ...rows].join("\n");
}

/** The statements of the claim in the versions in which the broker differs. */
function idsOf({ claim, versions }: Difference, chapters: readonly Chapter[]): string[] {
  const found = chapters.flatMap(({ claims }) => claims).find((each) => each.claim === claim);
  if (found === undefined) throw new Error(`no chapter claims what a difference is declared of: ${claim}`);
  const { v3 = [], v5 = [] } = found.where;
  return [...(versions.includes(4) ? v3.map((id) => `${id} (3.1.1)`) : []), ...(versions.includes(5) ? v5.map((id) => `${id} (5)`) : [])];
}

function renderClaims(chapters: readonly Chapter[]): string {
  return chapters
    .map(({ name, claims }) => {
      const rows = claims.map(({ where: { v3, v5 }, claim }) => `| ${escaped(claim)} | ${ids(v3)} | ${ids(v5)} |`);
      return [`### ${name}`, "", "| claim | MQTT 3.1.1 | MQTT 5 |", "|---|---|---|", ...rows].join("\n");
    })
    .join("\n\n");
}

const ids = (list: readonly string[] | undefined): string => list?.join(", ") ?? "–";

const escaped = (text: string): string => text.replaceAll(/[|<]/g, (character) => `\\${character}`).replaceAll("$", "\\$");

if (import.meta.main) writeFileSync(PAGE_FILE, renderPage(readFileSync(PAGE_FILE, "utf8"), await readChapters()));
