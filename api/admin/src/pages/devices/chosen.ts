import { useMemo, useState } from "react";
import type { components } from "../../hub/schema.d.ts";

export type Device = components["schemas"]["Device"];

/** Rows that something is to be done with. */
export interface Chosen {
  readonly devices: readonly Device[];
  readonly isAll: boolean;
  readonly has: (device: Device) => boolean;
  readonly toggle: (device: Device) => void;
  /** All that are shown, or none. */
  readonly toggleAll: () => void;
  readonly clear: () => void;
}

export function useChosen(shown: readonly Device[] = []): Chosen {
  const [ids, setIds] = useState<ReadonlySet<string>>(new Set());
  return useMemo(() => {
    // A device that somebody has removed meanwhile is gone from here, too.
    const devices = shown.filter(({ id }) => ids.has(id));
    const isAll = shown.length > 0 && devices.length === shown.length;
    return {
      devices,
      isAll,
      has: ({ id }) => ids.has(id),
      toggle: ({ id }) =>
        setIds((before) => (before.has(id) ? new Set([...before].filter((one) => one !== id)) : new Set([...before, id]))),
      toggleAll: () => setIds(isAll ? new Set() : new Set(shown.map(({ id }) => id))),
      clear: () => setIds(new Set()),
    };
  }, [shown, ids]);
}
