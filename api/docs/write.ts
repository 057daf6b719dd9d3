import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { openApiDocument } from "../openapi.ts";
import { generatedFiles } from "./generate.ts";

/** Writes the generated documents below `root` where they differ, or with `check` only names those that do. */
export async function writeDocuments(root: URL, version: string, check: boolean): Promise<string[]> {
  const stale: string[] = [];
  for (const [path, text] of Object.entries(generatedFiles({ openapi: openApiDocument(version) }))) {
    const file = new URL(path, root);
    const present = await readFile(file, "utf8").catch(() => undefined);
    if (present === text) continue;
    stale.push(path);
    if (check) continue;
    await mkdir(dirname(file.pathname), { recursive: true });
    await writeFile(file, text);
  }
  return stale;
}
