import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** By which the command line on this machine asks a running hub. It goes when the hub ends. */
export async function writeOperatorFile(
  dataDir: string,
  { url, token }: { readonly url: string; readonly token: string },
): Promise<AsyncDisposable> {
  const file = join(dataDir, "operator.json");
  // The mode counts only for a new file: one that was left with wider rights would keep them.
  await rm(file, { force: true });
  await writeFile(file, JSON.stringify({ url, token, pid: process.pid }), { mode: 0o600 });
  return { [Symbol.asyncDispose]: () => rm(file, { force: true }) };
}
