import { Card, Grid, Stack, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { me } from "../../hub/session.ts";
import { Asked } from "../../parts/asked.tsx";
import { Page } from "../../parts/page.tsx";
import { Appearance } from "./appearance.tsx";
import { Logins } from "./logins.tsx";
import { NotificationSettings } from "./notification-settings.tsx";
import { Profile } from "./profile.tsx";
import { Secrets } from "./secrets.tsx";
import { Tokens } from "./tokens.tsx";

export function AccountPage() {
  const { t } = useTranslation("account");
  const query = useQuery(me);
  return (
    <Page title={t("title")} about={t("about")}>
      <Grid>
        <Grid.Col span={{ base: 12, md: 6 }}>
          <Stack>
            <Section title={t("profile")}>
              <Asked query={query}>{({ user }) => (user ? <Profile user={user} /> : t("no_person"))}</Asked>
            </Section>
            <Section title={t("secrets")}>
              <Secrets />
            </Section>
          </Stack>
        </Grid.Col>
        <Grid.Col span={{ base: 12, md: 6 }}>
          <Stack>
            <Section title={t("notifications")}>
              <NotificationSettings />
            </Section>
            <Section title={t("appearance")}>
              <Appearance />
            </Section>
          </Stack>
        </Grid.Col>
        <Grid.Col span={12}>
          <Section title={t("logins")}>
            <Logins />
          </Section>
        </Grid.Col>
        <Grid.Col span={12}>
          <Section title={t("tokens")}>
            <Tokens />
          </Section>
        </Grid.Col>
      </Grid>
    </Page>
  );
}

const Section = ({ title, children }: { readonly title: string; readonly children: ReactNode }) => (
  <Card withBorder>
    <Title order={2} size="h4" mb="sm">
      {title}
    </Title>
    {children}
  </Card>
);
