import { Button, Kbd } from "@mantine/core";
import { Spotlight, spotlight, type SpotlightActionData } from "@mantine/spotlight";
import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { Cpu, Search } from "lucide-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { hub, take } from "../hub/client.ts";
import { useRights } from "../hub/rights.ts";
import { NAVIGATION } from "./navigation.ts";
import { mayOpen } from "./needs.ts";

const LEAST_LETTERS = 2;

/** Pages and devices by their names: ⌘K or Ctrl+K. */
export function Palette() {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const [query, setQuery] = useState("");
  const rights = useRights();
  const { data } = useQuery({
    queryKey: ["devices", "palette", query],
    queryFn: () => take(hub.GET("/api/v1/devices", { params: { query: { search: query, limit: 8 } } })),
    enabled: query.length >= LEAST_LETTERS && mayOpen(rights, "/devices"),
  });
  const pages = NAVIGATION.filter(({ to }) => mayOpen(rights, to)).map(
    ({ to, name, icon: Icon }): SpotlightActionData => ({
      id: to,
      label: t(`nav.${name}`),
      leftSection: <Icon size={18} aria-hidden />,
      onClick: () => void navigate({ to }),
    }),
  );
  const devices = (data?.data ?? []).map(
    (device): SpotlightActionData => ({
      id: device.id,
      label: device.name,
      description: device.uid,
      leftSection: <Cpu size={18} aria-hidden />,
      onClick: () => void navigate({ to: "/devices/$id", params: { id: device.uid } }),
    }),
  );
  return (
    <Spotlight
      actions={[...pages, ...devices]}
      query={query}
      onQueryChange={setQuery}
      nothingFound={t("palette.nothing")}
      shortcut={["mod + K"]}
      searchProps={{ leftSection: <Search size={18} aria-hidden />, placeholder: t("palette.search"), "aria-label": t("palette.search") }}
    />
  );
}

export function PaletteButton() {
  const { t } = useTranslation();
  return (
    <Button
      variant="default"
      leftSection={<Search size={16} aria-hidden />}
      rightSection={<Kbd size="xs">⌘K</Kbd>}
      onClick={spotlight.open}
      visibleFrom="xs"
    >
      {t("palette.open")}
    </Button>
  );
}
