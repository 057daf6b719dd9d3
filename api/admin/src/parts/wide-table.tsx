import { Table } from "@mantine/core";
import type { ReactNode } from "react";

interface WideTableProps {
  /** What it lists. */
  readonly label: string;
  /** px; in a narrower window it is scrolled. */
  readonly minWidth: number;
  /** px */
  readonly maxHeight?: number;
  readonly children: ReactNode;
}

/** Around a table that may be wider than its place: scrolled by keyboard too. */
export function WideTable({ label, children, ...size }: WideTableProps) {
  return (
    <Table.ScrollContainer {...size} type="native" role="region" aria-label={label} tabIndex={0}>
      {children}
    </Table.ScrollContainer>
  );
}
