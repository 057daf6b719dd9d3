import { NativeSelect } from "@mantine/core";
import { useTranslation } from "react-i18next";
import type { components } from "../../hub/schema.d.ts";

export type Role = components["schemas"]["Member"]["role"];
const ROLES = ["viewer", "operator", "admin", "owner"] as const;
/** In a form, whose values are texts: may do what was granted, and nothing else. */
export const GUEST = "guest";

export const roleOf = (text: string): Role => ROLES.find((role) => role === text) ?? null;

interface RoleFieldProps {
  readonly value: string;
  readonly onChange: (value: string) => void;
  readonly roles?: readonly string[];
}

export function RoleField({ value, onChange, roles = [GUEST, ...ROLES] }: RoleFieldProps) {
  const { t } = useTranslation("people");
  return (
    <NativeSelect
      label={t("role")}
      description={t(`role_about.${value}`)}
      data={roles.map((role) => ({ value: role, label: t(`roles.${role}`) }))}
      value={value}
      onChange={({ currentTarget }) => onChange(currentTarget.value)}
    />
  );
}
