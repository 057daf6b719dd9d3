import { Paper, Stack, Text } from "@mantine/core";
import type { ReactNode } from "react";

/** Nothing is there, and what to do about it. */
export function Empty({ title, children, action }: { readonly title: string; readonly children?: ReactNode; readonly action?: ReactNode }) {
  return (
    <Paper withBorder p="xl">
      <Stack align="center" gap="sm" maw="100%" style={{ overflowWrap: "anywhere" }}>
        <Text fw={600}>{title}</Text>
        {children !== undefined && (
          <Text c="dimmed" size="sm" ta="center">
            {children}
          </Text>
        )}
        {action}
      </Stack>
    </Paper>
  );
}
