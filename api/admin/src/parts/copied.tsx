import { ActionIcon, Code, CopyButton, Group, Text } from "@mantine/core";
import { Check, Copy } from "lucide-react";
import { useTranslation } from "react-i18next";

/** A value to be taken along. */
export function Copied({ label, value }: { readonly label?: string; readonly value: string }) {
  const { t } = useTranslation();
  return (
    <Group gap="xs" wrap="nowrap" align="center">
      {label !== undefined && (
        <Text size="sm" miw={120}>
          {label}
        </Text>
      )}
      <Code style={{ overflowWrap: "anywhere", flex: 1 }}>{value}</Code>
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
