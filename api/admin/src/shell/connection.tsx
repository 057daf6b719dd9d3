import { Alert, Text } from "@mantine/core";
import { useNetwork } from "@mantine/hooks";
import { useTranslation } from "react-i18next";
import { type LiveState, useLiveState } from "../hub/live.ts";
import { type Reach, useReach } from "../hub/reach.ts";
import { useSecondsLeft } from "../parts/seconds-left.ts";

/** What is shown may be old. */
export function Connection() {
  const { online } = useNetwork();
  const reach = useReach();
  const fault = faultOf(online, reach, useLiveState());
  const { t } = useTranslation();
  const seconds = useSecondsLeft(reach.kind === "held" ? reach.until : undefined);
  // There before it says anything: what changes in it is read out.
  return (
    <div role="status">
      {fault !== undefined && (
        <Alert color="yellow" mb="md" title={t(`connection.${fault}`)}>
          <Text size="sm">{fault === "held" ? t("connection.held_about", { seconds }) : t("connection.about")}</Text>
        </Alert>
      )}
    </div>
  );
}

function faultOf(isOnline: boolean, reach: Reach, live: LiveState): "offline" | "lost" | "held" | "live" | undefined {
  if (!isOnline) return "offline";
  if (reach.kind === "silent") return "lost";
  if (reach.kind === "held") return "held";
  return live === "lost" ? "live" : undefined;
}
