import { Badge } from "@mantine/core";
import { useTranslation } from "react-i18next";

export const SEVERITIES = ["info", "warning", "critical"] as const;
export type Severity = (typeof SEVERITIES)[number];
const COLORS = { info: "blue", warning: "yellow", critical: "red" } as const;

/** The dot has the colour, the text that of the page: it is readable on either. */
export function SeverityBadge({ severity }: { readonly severity: Severity }) {
  const { t } = useTranslation("alerts");
  return (
    <Badge variant="dot" color={COLORS[severity]}>
      {t(`severities.${severity}`)}
    </Badge>
  );
}
