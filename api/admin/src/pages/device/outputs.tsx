import { Card, Group, Loader, Slider, Stack, Switch, Text, Title } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import { useRights } from "../../hub/rights.ts";
import type { components } from "../../hub/schema.d.ts";
import { type Request, useCommand } from "./command.tsx";

type Detail = components["schemas"]["DeviceDetail"];
type Reason = components["schemas"]["StateReason"];

/** What is switched is what the device says, and a command is under way until it has answered. */
export function Outputs({ detail: { device, state, reasons } }: { readonly detail: Detail }) {
  const { t } = useTranslation("device");
  const { relays = 0, lights = 0 } = device.capabilities;
  const isKnown = state.relays.length + state.lights.length > 0;
  if (!isKnown && relays + lights === 0) return null;
  const reasonOf = (kind: Reason["kind"], index: number) => reasons.find((one) => one.kind === kind && one.index === index);
  return (
    <Card withBorder>
      <Title order={2} size="h4" mb="sm">
        {t("outputs")}
      </Title>
      {!isKnown && (
        <Text c="dimmed" size="sm">
          {t("no_state")}
        </Text>
      )}
      <Stack>
        {state.relays.map(({ index, state: isOn }) => (
          <Output
            key={`relay ${index}`}
            id={device.id}
            uid={device.uid}
            label={device.settings.relay_names?.[index] || t("relay", { index })}
            isOn={isOn === "ON"}
            reason={reasonOf("relay", index)}
            commandOf={(wanted) => ({ command: "set_relay", relay: index, state: wanted })}
          />
        ))}
        {state.lights.map(({ index, state: isOn, brightness }) => (
          <Output
            key={`light ${index}`}
            id={device.id}
            uid={device.uid}
            label={t("light", { index })}
            isOn={isOn === "ON"}
            reason={reasonOf("light", index)}
            brightness={brightness}
            commandOf={(wanted) => ({ command: "set_light", light: index, state: wanted })}
            brightnessOf={(wanted) => ({ command: "set_light", light: index, brightness: wanted })}
          />
        ))}
      </Stack>
    </Card>
  );
}

interface OutputProps {
  readonly id: string;
  readonly uid: string;
  readonly label: string;
  readonly isOn: boolean;
  readonly reason: Reason | undefined;
  readonly brightness?: number | undefined;
  readonly commandOf: (state: "ON" | "OFF") => Request;
  readonly brightnessOf?: (brightness: number) => Request;
}

function Output({ id, uid, label, isOn, reason, brightness, commandOf, brightnessOf }: OutputProps) {
  const { t } = useTranslation("device");
  const formats = useFormats();
  const { may } = useRights();
  const command = useCommand(uid);
  return (
    <div>
      <Group justify="space-between">
        <Switch
          label={label}
          checked={isOn}
          disabled={command.isPending}
          onChange={({ currentTarget }) => command.mutate(commandOf(currentTarget.checked ? "ON" : "OFF"))}
        />
        {command.isPending ? (
          <Group gap="xs" role="status">
            <Loader size="xs" aria-hidden />
            <Text size="xs">{t("pending")}</Text>
          </Group>
        ) : (
          reason && (
            <Text size="xs" c="dimmed">
              {t("reason", { who: reason.source, when: formats.ago(reason.changed_at) })}
            </Text>
          )
        )}
      </Group>
      {brightness !== undefined && brightnessOf && (
        <Slider
          key={brightness}
          mt="xs"
          min={1}
          max={100}
          defaultValue={brightness}
          thumbLabel={t("brightness", { index: label })}
          // No fieldset reaches it.
          disabled={command.isPending || !may("device.control", id)}
          onChangeEnd={(wanted) => command.mutate(brightnessOf(wanted))}
        />
      )}
    </div>
  );
}
