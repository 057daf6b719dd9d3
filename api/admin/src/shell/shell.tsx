import { Anchor, AppShell, Burger, Group, NavLink, ScrollArea } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { Link, Outlet, useRouterState } from "@tanstack/react-router";
import { Suspense, useEffect } from "react";
import { useTranslation } from "react-i18next";
import { useKeptAppearance } from "../hub/appearance.ts";
import { startLive } from "../hub/live.ts";
import { useRights } from "../hub/rights.ts";
import { useLastView } from "../hub/start-page.ts";
import { Waiting } from "../parts/waiting.tsx";
import { AccountMenu } from "./account-menu.tsx";
import { Connection } from "./connection.tsx";
import { useNewerTold } from "./newer.ts";
import { Palette, PaletteButton } from "./palette.tsx";
import { NAVIGATION } from "./navigation.ts";
import { mayOpen, needOf } from "./needs.ts";
import { RefusedPage } from "./refused.tsx";

export function Shell() {
  const [isOpen, { toggle, close }] = useDisclosure(false);
  const { t } = useTranslation();
  useNewerTold();
  useKeptAppearance();
  useLastView(useRouterState({ select: ({ location }) => location.href }));
  const mayListen = useRights().maySomewhere("device.read");
  useEffect(() => (mayListen ? startLive() : undefined), [mayListen]);
  return (
    <AppShell header={{ height: 56 }} navbar={{ width: 220, breakpoint: "sm", collapsed: { mobile: !isOpen } }} padding="md">
      <AppShell.Header>
        <Anchor href="#content" className="skip">
          {t("shell.skip")}
        </Anchor>
        <Group h="100%" px="md" justify="space-between" wrap="nowrap">
          <Group gap="sm" wrap="nowrap">
            <Burger opened={isOpen} onClick={toggle} hiddenFrom="sm" size="sm" aria-label={t("shell.menu")} />
            <Anchor component={Link} to="/dashboard" underline="never" c="inherit" fw={700}>
              Hexahub
            </Anchor>
          </Group>
          <Group gap="xs" wrap="nowrap">
            <PaletteButton />
            <AccountMenu />
          </Group>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar p="xs" aria-label={t("shell.pages")}>
        <AppShell.Section grow component={ScrollArea}>
          <Navigation onNavigate={close} />
        </AppShell.Section>
      </AppShell.Navbar>
      <AppShell.Main>
        <Connection />
        <div id="content" tabIndex={-1}>
          <Suspense fallback={<Waiting />}>
            <Content />
          </Suspense>
        </div>
      </AppShell.Main>
      <Palette />
    </AppShell>
  );
}

/** The page, or that it is not for this person: what it would ask for is not even asked. */
function Content() {
  const need = useRouterState({ select: (state) => needOf(state.location.pathname) });
  const { maySomewhere } = useRights();
  return need === undefined || maySomewhere(need) ? <Outlet /> : <RefusedPage need={need} />;
}

function Navigation({ onNavigate }: { readonly onNavigate: () => void }) {
  const { t } = useTranslation();
  const path = useRouterState({ select: (state) => state.location.pathname });
  const rights = useRights();
  return NAVIGATION.filter(({ to }) => mayOpen(rights, to)).map(({ to, name, icon: Icon }) => (
    <NavLink
      key={to}
      component={Link}
      to={to}
      label={t(`nav.${name}`)}
      leftSection={<Icon size={18} aria-hidden />}
      active={path === to || path.startsWith(`${to}/`)}
      aria-current={path === to ? "page" : undefined}
      onClick={onNavigate}
    />
  ));
}
