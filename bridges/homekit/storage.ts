import { randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import { gunzip, gzip } from "node:zlib";

/** Of Homebridge's folder: who has added the bridge, with its keys, and the ids of its accessories. */
const PARTS = ["persist", "accessories"] as const;
type Files = Readonly<Record<(typeof PARTS)[number], Readonly<Record<string, string>>>>;

/** The folder's own id, so that one can be told from that of another node. */
const ID_FILE = "storage-id";
/** What is larger has something else in it. */
const MAX_BYTES = 32 * 1024 * 1024;

const compress = promisify(gzip);
const expand = promisify(gunzip);

/** Made where there is none. */
export async function folderIdOf(folder: string): Promise<string> {
  const file = join(folder, ID_FILE);
  const known = await readFile(file, "utf8").catch(() => "");
  if (known !== "") return known;
  const id = randomUUID();
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await writeFile(file, id, { mode: 0o600 });
  return id;
}

/** Whether Homebridge has kept something of the bridge with that id there. */
export async function isStorageOf(folder: string, username: string): Promise<boolean> {
  const names: string[] = await readdir(join(folder, "persist")).catch(() => []);
  return names.includes(`AccessoryInfo.${username.replaceAll(":", "")}.json`);
}

/** Another one when a file is another than before. */
export async function readSignature(folder: string): Promise<string> {
  const files = (await namesIn(folder)).map(async ({ part, name }) => {
    const found = await stat(join(folder, part, name)).catch(() => undefined);
    return `${part}/${name} ${found?.mtimeMs} ${found?.size}`;
  });
  return (await Promise.all(files)).join("\n");
}

/** All of it as one text; undefined while a file is being written. */
export async function readStorage(folder: string): Promise<string | undefined> {
  const files: Record<string, Record<string, string>> = { persist: {}, accessories: {} };
  for (const { part, name } of await namesIn(folder)) {
    const text = await readFile(join(folder, part, name), "utf8").catch(() => "");
    if (!isJson(text)) return undefined;
    (files[part] as Record<string, string>)[name] = text;
  }
  const bytes = Buffer.from(JSON.stringify(files));
  if (bytes.length > MAX_BYTES) throw new Error("what Homebridge keeps is too large to be saved");
  return (await compress(bytes)).toString("base64");
}

/** The folder has what the text says and nothing else. */
export async function writeStorage(folder: string, text: string | null): Promise<void> {
  for (const part of PARTS) await rm(join(folder, part), { recursive: true, force: true, maxRetries: 5 });
  if (text === null) return;
  const bytes = await expand(Buffer.from(text, "base64"), { maxOutputLength: MAX_BYTES });
  const files = JSON.parse(bytes.toString()) as Files;
  for (const part of PARTS) {
    await mkdir(join(folder, part), { recursive: true, mode: 0o700 });
    for (const [name, content] of Object.entries(files[part]))
      await writeFile(join(folder, part, basename(name)), content, { mode: 0o600 });
  }
}

/** Without the copies that Homebridge makes, whose names begin with a dot. */
async function namesIn(folder: string): Promise<{ part: string; name: string }[]> {
  const all: { part: string; name: string }[] = [];
  for (const part of PARTS) {
    const entries = await readdir(join(folder, part), { withFileTypes: true }).catch(() => []);
    const names = entries.filter((entry) => entry.isFile() && !entry.name.startsWith(".")).map(({ name }) => name);
    all.push(...names.toSorted().map((name) => ({ part, name })));
  }
  return all;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
