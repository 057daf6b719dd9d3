import { Badge } from "@mantine/core";
import { useTranslation } from "react-i18next";
import type { components } from "../hub/schema.d.ts";

const COLORS = { online: "teal", stale: "yellow", offline: "gray" } as const;

export function PresenceBadge({ presence }: { readonly presence: components["schemas"]["Presence"] }) {
  const { t } = useTranslation();
  return (
    <Badge color={COLORS[presence]} variant="dot">
      {t(`presence.${presence}`)}
    </Badge>
  );
}
