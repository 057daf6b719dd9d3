import { Box, Group, Stack, Text, Title } from "@mantine/core";
import type { ReactNode } from "react";
import { useTitle } from "./title.ts";

interface PageProps {
  readonly title: string;
  /** What one does here, in a line. */
  readonly about?: ReactNode;
  readonly actions?: ReactNode;
  readonly children: ReactNode;
}

/** A heading, what can be done, and the rest; the tab has its name. */
export function Page({ title, about, actions, children }: PageProps) {
  useTitle(title);
  return (
    // On a very wide screen a line of a table would be too long to follow.
    <Stack gap="lg" maw={1920}>
      <Group justify="space-between" align="flex-start">
        <Box>
          <Title order={1} size="h2">
            {title}
          </Title>
          {about !== undefined && (
            <Text c="dimmed" size="sm">
              {about}
            </Text>
          )}
        </Box>
        {actions !== undefined && <Group gap="xs">{actions}</Group>}
      </Group>
      {children}
    </Stack>
  );
}
