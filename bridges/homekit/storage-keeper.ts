import { claimStorage, findForeignStorage, saveStorage, type StoragePlace } from "../../store/homekit-storage.ts";
import type { SmartHomeContext } from "../open-bridges.ts";
import { folderIdOf, isStorageOf, readSignature, readStorage, writeStorage } from "./storage.ts";

type Context = Pick<SmartHomeContext, "db" | "encryption" | "log">;

/** What Homebridge writes without a word is saved by then. */
const LOOK_MS = 1_000;

interface Kept extends Pick<StoragePlace, "organizationId" | "number"> {
  readonly folder: string;
  readonly username: string;
}

/**
 * Brings here what Homebridge has kept of the bridge on another node, and from then on saves what it keeps here, so that the next
 * node has it. Before Homebridge starts.
 */
export async function takeStorage(context: Context, { folder, username, ...bridge }: Kept): Promise<StorageKeeper> {
  const place = { ...bridge, folderId: await folderIdOf(folder) };
  const foreign = await findForeignStorage(context, place);
  if (foreign) {
    const isOwn = foreign.isAnybodys && (await isStorageOf(folder, username));
    if (!isOwn) await writeStorage(folder, foreign.text);
    // Not before all of it is there: a node that dies in between begins anew.
    await claimStorage(context.db, place);
  }
  return new StorageKeeper(context, place, folder);
}

/** Saves it whenever it has changed, for as long as no other node has taken it. */
export class StorageKeeper implements AsyncDisposable {
  readonly #context: Context;
  readonly #place: StoragePlace;
  readonly #folder: string;
  readonly #timer: NodeJS.Timeout;
  #signature = "";
  #saved: string | undefined;
  #looking: Promise<void> | undefined;
  #waiting: (() => void)[] = [];

  constructor(context: Context, place: StoragePlace, folder: string) {
    this.#context = context;
    this.#place = place;
    this.#folder = folder;
    this.#timer = setInterval(() => this.look(), LOOK_MS).unref();
  }

  /** Saves what is new. Calls back once all that was there by now is saved, which is tried for as long as it takes. */
  look(saved?: () => void): void {
    if (saved) this.#waiting.push(saved);
    this.#looking ??= this.#lookOnce().finally(() => (this.#looking = undefined));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking;
    this.look();
    await this.#looking;
  }

  async #lookOnce(): Promise<void> {
    do {
      const waiting = this.#waiting.splice(0);
      const isSaved = await this.#save().catch((err: unknown) => {
        this.#context.log.error({ err, bridge: this.#place.number }, "what a HomeKit bridge keeps could not be saved");
        return false;
      });
      if (!isSaved) return void this.#waiting.unshift(...waiting);
      for (const saved of waiting) saved();
    } while (this.#waiting.length > 0);
  }

  /** False where it has to be tried again, or is another node's by now. */
  async #save(): Promise<boolean> {
    const signature = await readSignature(this.#folder);
    if (signature === this.#signature) return true;
    const text = await readStorage(this.#folder);
    if (text === undefined) return false;
    if (text !== this.#saved && !(await saveStorage(this.#context, this.#place, text))) {
      clearInterval(this.#timer);
      return false;
    }
    this.#saved = text;
    this.#signature = signature;
    return true;
  }
}
