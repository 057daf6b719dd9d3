/** What this browser keeps of a person. */
const PREFIX = "kept-";

export function keep(name: string, of: string | undefined, value: unknown): void {
  localStorage.setItem(PREFIX + name, JSON.stringify({ of, value }));
}

/** undefined for nothing, and for what is another person's. */
export function findKept(name: string, of: string | undefined): unknown {
  const text = localStorage.getItem(PREFIX + name);
  if (text === null || of === undefined) return undefined;
  try {
    const kept = JSON.parse(text) as { readonly of?: string; readonly value: unknown };
    return kept.of === of ? kept.value : undefined;
  } catch {
    return undefined;
  }
}

export const unkeep = (name: string): void => localStorage.removeItem(PREFIX + name);

/** Another tab changed something of these names. */
export function onKeptElsewhere(names: readonly string[], listener: () => void): void {
  globalThis.addEventListener("storage", ({ key }) => {
    if (names.some((name) => key === PREFIX + name)) listener();
  });
}
