import { notifications } from "@mantine/notifications";
import { useEffect } from "react";
import { useTranslation } from "react-i18next";
import { takeNewer } from "../hub/build.ts";

/** Why the page was loaded anew. */
export function useNewerTold(): void {
  const { t } = useTranslation();
  useEffect(() => {
    if (takeNewer()) notifications.show({ message: t("newer"), closeButtonProps: { "aria-label": t("close") } });
  }, []);
}
