import { Center, Paper, Stack, Text, Title } from "@mantine/core";
import { type ReactNode, useEffect, useState } from "react";
import { useTitle } from "../../parts/title.ts";

/** For whoever is not logged in. */
export function AuthCard({ title, about, children }: { readonly title: string; readonly about: string; readonly children: ReactNode }) {
  useTitle(title);
  return (
    <Center component="main" mih="100vh" p="md">
      <Paper withBorder p="xl" w={420} maw="100%">
        <Stack>
          <div>
            <Title order={1} size="h2">
              {title}
            </Title>
            <Text c="dimmed" size="sm">
              {about}
            </Text>
          </div>
          {children}
        </Stack>
      </Paper>
    </Center>
  );
}

/** It comes in the fragment, which no server and no log sees, and does not stay in the address bar. */
export function useTokenOfAddress(): string {
  const [token] = useState(() => new URLSearchParams(location.hash.slice(1)).get("token") ?? "");
  useEffect(() => {
    if (token !== "") history.replaceState(history.state, "", location.pathname);
  }, [token]);
  return token;
}
