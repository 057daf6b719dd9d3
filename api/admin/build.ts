import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";

const HERE = import.meta.dirname;
const BUILT = path.join(HERE, "dist", ".built");
const MADE_OF = ["src", "public", "index.html", "vite.config.ts", "compressed.ts", "package.json", "../../package-lock.json"];

// The hub works without it.
if (import.meta.main)
  await buildConsole().catch((error: unknown) => {
    process.stderr.write(`the console could not be built: ${error instanceof Error ? error.message : String(error)}\n`);
  });

/** Builds the console, unless what is there was made of the same files. */
export async function buildConsole(): Promise<void> {
  const wanted = await digest();
  if (existsSync(BUILT) && (await readFile(BUILT, "utf8")) === wanted) return;
  process.stderr.write("building the console, once …\n");
  const { build } = await import("vite");
  await build({ configFile: path.join(HERE, "vite.config.ts"), logLevel: "warn" });
  await writeFile(BUILT, wanted);
}

async function digest(): Promise<string> {
  const hash = createHash("sha256");
  for (const name of MADE_OF) {
    const at = path.join(HERE, name);
    const files = name.includes(".")
      ? [at]
      : (await readdir(at, { recursive: true, withFileTypes: true }))
          // Types are not in what is built.
          .filter((one) => one.isFile() && !one.name.endsWith(".d.ts"))
          .map((one) => path.join(one.parentPath, one.name));
    for (const file of files.toSorted())
      hash
        .update(path.relative(HERE, file))
        .update("\0")
        .update(await readFile(file))
        .update("\0");
  }
  return hash.digest("hex");
}
