import { Menu } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Check, Plus } from "lucide-react";
import { useTranslation } from "react-i18next";
import { actIn, organizations } from "../hub/organizations.ts";
import { useRights } from "../hub/rights.ts";
import { useChange } from "../parts/change.tsx";

/** In which one acts, and those in which one could. Asked for when the menu opens. */
export function OrganizationItems({ onMake }: { readonly onMake: () => void }) {
  const { t } = useTranslation();
  const { isHubAdministrator } = useRights();
  const { data } = useQuery(organizations);
  const change = useChange("organizations", (id: string) => actIn(id));
  const all = data?.data ?? [];
  if (all.length < 2 && !isHubAdministrator) return null;
  return (
    <>
      <Menu.Divider />
      <Menu.Label>{t("organization.one")}</Menu.Label>
      {all.map(({ id, name, is_current: isCurrent }) => (
        <Menu.Item
          key={id}
          style={{ overflowWrap: "anywhere" }}
          disabled={change.isPending}
          rightSection={isCurrent ? <Check size={14} aria-hidden /> : undefined}
          aria-current={isCurrent}
          closeMenuOnClick={isCurrent}
          onClick={() => !isCurrent && change.mutate(id)}
        >
          {name}
        </Menu.Item>
      ))}
      {isHubAdministrator && (
        <Menu.Item leftSection={<Plus size={14} aria-hidden />} onClick={onMake}>
          {t("organization.new")}
        </Menu.Item>
      )}
    </>
  );
}
