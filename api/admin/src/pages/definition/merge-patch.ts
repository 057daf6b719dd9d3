/** What has to be sent so that `before` becomes `after` (RFC 7396): fields of objects are merged, so that what is gone is said to be. */
export function patchBetween<T extends object>(before: object, after: T): Partial<T> {
  const [was, is] = [Object.entries(before), Object.entries(after).filter(([, value]) => value !== undefined)];
  const [old, present] = [Object.fromEntries(was) as Fields, Object.fromEntries(is) as Fields];
  const gone = was.filter(([name, value]) => value !== undefined && !(name in present)).map(([name]) => [name, null]);
  const changed = is
    .filter(([name, value]) => !isSame(old[name], value))
    .map(([name, value]) => [name, isFields(old[name]) && isFields(value) ? patchBetween(old[name], value) : value]);
  return Object.fromEntries([...gone, ...changed]) as Partial<T>;
}

/** What such a patch makes of something. */
export function patched(before: object, patch: object): object {
  const was = before as Fields;
  const changed = Object.entries(patch).map(([name, value]) => [
    name,
    isFields(value) ? patched(isFields(was[name]) ? was[name] : {}, value) : value,
  ]);
  const all = { ...was, ...Object.fromEntries(changed) };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== null));
}

type Fields = Readonly<Record<string, unknown>>;

const isFields = (value: unknown): value is Fields => typeof value === "object" && value !== null && !Array.isArray(value);

/** The order of fields says nothing. */
export function isSame(one: unknown, other: unknown): boolean {
  if (Array.isArray(one) && Array.isArray(other))
    return one.length === other.length && one.every((value, index) => isSame(value, other[index]));
  if (!isFields(one) || !isFields(other)) return one === other;
  const names = new Set([...Object.keys(one), ...Object.keys(other)]);
  return [...names].every((name) => isSame(one[name], other[name]));
}
