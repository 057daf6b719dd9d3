import { stat } from "node:fs/promises";

/** Something that is read from files, and read again when one of them changes. */
export interface Reloaded<T> {
  readonly value: T;
  /** Looks at the files; true when there is a new value. What cannot be used is reported once, and the old value stays. */
  refresh(): Promise<boolean>;
}

export interface ReloadedOptions<T> {
  /** The files to look at; may grow and shrink. */
  readonly files: () => Promise<readonly string[]>;
  /** Called with the value until now; throws when the files cannot be used. */
  readonly load: (previous: T | undefined) => Promise<T>;
  /** Hears of each reason once. */
  readonly onError: (error: unknown) => void;
}

/** Throws what the first load throws. */
export async function openReloaded<T>({ files, load, onError }: ReloadedOptions<T>): Promise<Reloaded<T>> {
  let seen: string | undefined = await stampOf(await files());
  let value = await load(undefined);
  let reported: string | undefined;
  return {
    get value() {
      return value;
    },
    async refresh() {
      try {
        const stamp = await stampOf(await files());
        if (stamp === seen) return false;
        // Cleared meanwhile: a file that is half written is looked at again, whether its stamp changes or not.
        seen = undefined;
        value = await load(value);
        seen = stamp;
        reported = undefined;
        return true;
      } catch (error) {
        const reason = String(error);
        if (reason !== reported) onError(error);
        reported = reason;
        return false;
      }
    },
  };
}

/** Changes when one of the files does. */
export async function stampOf(files: readonly string[]): Promise<string> {
  const stamps = files.map(async (file) => {
    const found = await stat(file).catch(() => undefined);
    return found ? `${file}:${found.mtimeMs}/${found.size}/${found.ino}` : `${file}:absent`;
  });
  return (await Promise.all(stamps)).join(" ");
}
