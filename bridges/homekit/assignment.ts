/** HomeKit takes 150 accessories of a bridge, of which it is one itself; the next one would vanish without a word. */
export const MAX_ACCESSORIES = 149;
/** Each is a process of its own. */
export const MAX_BRIDGES = 8;

export interface Assignment {
  /** Bridge by device. */
  readonly bridges: ReadonlyMap<string, number>;
  /** Devices that are too many. */
  readonly leftOut: readonly string[];
}

/**
 * Who was on a bridge stays there, since another one would be another accessory to HomeKit, without its room and automations. The others
 * go where there is room, on the first bridge before the second.
 */
export function assign(known: ReadonlyMap<string, number>, wanted: readonly string[]): Assignment {
  const bridges = new Map<string, number>();
  const counts = Array.from({ length: MAX_BRIDGES }, () => 0);
  const put = (device: string, bridge: number): void => {
    bridges.set(device, bridge);
    counts[bridge] = (counts[bridge] ?? 0) + 1;
  };
  const leftOut: string[] = [];
  for (const device of wanted) {
    const bridge = known.get(device);
    if (bridge !== undefined) put(device, bridge);
  }
  for (const device of wanted) {
    if (bridges.has(device)) continue;
    const bridge = counts.findIndex((count) => count < MAX_ACCESSORIES);
    if (bridge === -1) leftOut.push(device);
    else put(device, bridge);
  }
  return { bridges, leftOut };
}
