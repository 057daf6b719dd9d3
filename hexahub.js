#!/usr/bin/env -S node --expose-gc --max-semi-space-size=4 --v8-pool-size=1 --no-allocation-site-pretenuring
/*
 * The command. Plain JavaScript and nothing before the compile cache: whatever is loaded without it has its types
 * stripped again at every start, which costs 30 MB of memory and a third of the starting time (docs/decisions/0007).
 */
import module from "node:module";
import { join } from "node:path";

if (!process.features.typescript) {
  process.stderr.write(`hexahub: Node ${process.versions.node} cannot run it: use npm start or npx hexahub, which bring Node 24\n`);
  process.exit(3);
}
const { directory } = module.enableCompileCache(join(import.meta.dirname, "node_modules", ".cache", "hexahub"));
// The database's thread reads it from here.
if (directory !== undefined) process.env.NODE_COMPILE_CACHE = directory;

const { run } = await import("./main.ts");
await run(process.argv.slice(2));
