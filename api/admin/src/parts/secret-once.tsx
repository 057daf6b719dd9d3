import { Alert, Button, Stack, Text } from "@mantine/core";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Copied } from "./copied.tsx";

/** What the hub never shows again. */
export function SecretOnce({
  values,
  children,
  onDone,
}: {
  readonly values: readonly (readonly [label: string, value: string])[];
  readonly children?: ReactNode;
  readonly onDone?: () => void;
}) {
  const { t } = useTranslation();
  return (
    <Alert color="yellow" role="status">
      <Stack gap="xs" align="stretch">
        <Text size="sm" fw={600}>
          {t("secret.once")}
        </Text>
        {values.map(([label, value]) => (
          <Copied key={label} label={label} value={value} />
        ))}
        {children !== undefined && <Text size="sm">{children}</Text>}
        {onDone && (
          <Button size="xs" variant="default" onClick={onDone} style={{ alignSelf: "flex-start" }}>
            {t("secret.done")}
          </Button>
        )}
      </Stack>
    </Alert>
  );
}
