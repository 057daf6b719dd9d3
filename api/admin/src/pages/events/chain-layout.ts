import type { components } from "../../hub/schema.d.ts";

type Event = components["schemas"]["Event"];
type EventNode = components["schemas"]["EventNode"];

export const BOX = { width: 210, height: 52, gapX: 44, gapY: 16 } as const;

export interface Box {
  readonly event: Event;
  readonly x: number;
  readonly y: number;
  /** Where its cause is; undefined: nothing is known that it followed from. */
  readonly cause: { readonly x: number; readonly y: number } | undefined;
}

export interface Layout {
  readonly boxes: readonly Box[];
  readonly width: number;
  readonly height: number;
}

/** Causes to the left of what followed, each beside the first thing that followed from it; no two in one place. */
export function layOut(roots: readonly EventNode[]): Layout {
  const boxes: Box[] = [];
  let row = 0;
  let deepest = 0;
  const place = ({ event, children }: EventNode, depth: number, cause: Box["cause"]): void => {
    const at = { x: depth * (BOX.width + BOX.gapX), y: row * (BOX.height + BOX.gapY) };
    boxes.push({ event, ...at, cause });
    deepest = Math.max(deepest, depth);
    if (children.length === 0) row++;
    for (const child of children) place(child, depth + 1, at);
  };
  for (const root of roots) place(root, 0, undefined);
  return {
    boxes,
    width: (deepest + 1) * (BOX.width + BOX.gapX) - BOX.gapX,
    height: Math.max(1, row) * (BOX.height + BOX.gapY) - BOX.gapY,
  };
}
