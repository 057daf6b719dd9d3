import { ActionIcon, Code, CopyButton, Group, Text } from "@mantine/core";
import { Check, Copy } from "lucide-react";
import { useTranslation } from "react-i18next";

interface CopiedProps {
  readonly label?: string;
  readonly value: string;
  /** It has lines of its own; its label is for the button alone. */
  readonly isBlock?: boolean;
}

/** A value to be taken along. */
export function Copied({ label, value, isBlock = false }: CopiedProps) {
  const { t } = useTranslation();
  return (
    <Group gap="xs" wrap="nowrap" align={isBlock ? "flex-start" : "center"}>
      {label !== undefined && !isBlock && (
        <Text size="sm" miw={120}>
          {label}
        </Text>
      )}
      <Code block={isBlock} style={{ overflowWrap: "anywhere", flex: 1, minWidth: 0, ...(isBlock ? { whiteSpace: "pre-wrap" } : {}) }}>
        {value}
      </Code>
      <CopyButton value={value}>
        {({ copied, copy }) => (
          <ActionIcon variant="subtle" onClick={copy} aria-label={copied ? t("copied") : t("copy", { what: label ?? "" })}>
            {copied ? <Check size={16} aria-hidden /> : <Copy size={16} aria-hidden />}
          </ActionIcon>
        )}
      </CopyButton>
    </Group>
  );
}
