import { Badge } from "@mantine/core";
import { useTranslation } from "react-i18next";
import type { components } from "../../hub/schema.d.ts";

type Status = components["schemas"]["TaskStatus"];
/** Events tell what becomes of tasks, and not that one is made, sent or begun. */
export const EVERY_MS = 15_000;
export const STATUSES = [
  "draft",
  "awaiting_confirmation",
  "queued",
  "assigned",
  "running",
  "completed",
  "failed",
  "cancelled",
  "rejected",
  "expired",
] as const;
export const FILTERS = ["open", ...STATUSES] as const;
const OPEN: readonly Status[] = ["draft", "awaiting_confirmation", "queued", "assigned", "running"];
const COLORS: Partial<Record<Status, string>> = {
  awaiting_confirmation: "yellow",
  running: "blue",
  completed: "teal",
  failed: "red",
  rejected: "red",
  expired: "orange",
};

export const isOpen = (status: Status): boolean => OPEN.includes(status);

export function TaskStatus({ status }: { readonly status: Status }) {
  const { t } = useTranslation("tasks");
  return (
    <Badge variant="dot" color={COLORS[status] ?? "gray"} h="auto" styles={{ label: { whiteSpace: "normal" } }}>
      {t(`statuses.${status}`)}
    </Badge>
  );
}
