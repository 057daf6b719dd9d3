import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";

const HERE = import.meta.dirname;
const BUILT = path.join(HERE, "dist", ".built");
const MADE_OF = ["src", "public", "index.html", "vite.config.ts", "compressed.ts", "worker.ts", "package.json", "../../package-lock.json"];

/** Builds the console, unless what is there was made of the same files. With `--or-without` a failure is told and no more: the hub works without it. */
try {
  const wanted = await digest();
  if (!existsSync(BUILT) || (await readFile(BUILT, "utf8")) !== wanted) {
    process.stderr.write("building the console, once …\n");
    const { build } = await import("vite");
    await build({ configFile: path.join(HERE, "vite.config.ts"), logLevel: "warn" });
    await writeFile(BUILT, wanted);
  }
} catch (error) {
  process.stderr.write(`the console could not be built: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = process.argv.includes("--or-without") ? 0 : 1;
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
