import { ActionIcon, Card, Collapse, Group, Title } from "@mantine/core";
import { ChevronDown, ChevronRight } from "lucide-react";
import { type ReactNode, useId } from "react";
import { useTranslation } from "react-i18next";
import { usePreference } from "../hub/preferences.ts";

/** Stays as it was left, on every browser of the person. */
export function FoldingCard({ name, title, children }: { readonly name: string; readonly title: string; readonly children: ReactNode }) {
  const { t } = useTranslation();
  const [isFolded, setFolded] = usePreference("dashboard_layout", `folded_${name}`, false);
  const id = useId();
  const Chevron = isFolded ? ChevronRight : ChevronDown;
  return (
    <Card withBorder>
      <Group justify="space-between" mb={isFolded ? 0 : "sm"}>
        <Title order={2} size="h4">
          {title}
        </Title>
        <ActionIcon
          variant="subtle"
          color="gray"
          aria-expanded={!isFolded}
          aria-controls={id}
          aria-label={t("fold", { what: title })}
          onClick={() => setFolded(!isFolded)}
        >
          <Chevron size={18} aria-hidden />
        </ActionIcon>
      </Group>
      <Collapse expanded={!isFolded} id={id}>
        {children}
      </Collapse>
    </Card>
  );
}
