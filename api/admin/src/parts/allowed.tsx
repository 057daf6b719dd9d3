import { Alert, Stack } from "@mantine/core";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { type Permission, useRights } from "../hub/rights.ts";

interface AllowedProps {
  readonly need: Permission;
  /** The device's id, where a right on that one is enough. */
  readonly on?: string | undefined;
  readonly children: ReactNode;
}

/** For whoever may; for others it is not there. */
export function Allowed({ need, on, children }: AllowedProps) {
  return useRights().may(need, on) ? children : null;
}

/** Whoever may not change it sees it, and why they cannot. */
export function Editable({ need, on, children }: AllowedProps) {
  const { t } = useTranslation();
  if (useRights().may(need, on)) return children;
  return (
    <Stack>
      <Alert color="gray" variant="outline" role="note">
        {t("refused.look_only", { permission: need })}
      </Alert>
      <fieldset disabled style={{ border: 0, padding: 0, margin: 0, minWidth: 0 }}>
        {children}
      </fieldset>
    </Stack>
  );
}
