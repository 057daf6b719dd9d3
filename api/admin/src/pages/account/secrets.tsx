import { Group, PasswordInput, Stack, Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { hub, take } from "../../hub/client.ts";
import { queries } from "../../hub/queries.ts";
import { FormDialog } from "../../parts/form-dialog.tsx";

/** What only the person knows. */
export function Secrets() {
  const { t } = useTranslation("account");
  return (
    <Stack>
      <div>
        <ChangePassword />
      </div>
      <Text size="sm">{t("pin_about")}</Text>
      <Group gap="xs">
        <FormDialog
          label={t("set_pin")}
          button={{ variant: "default" }}
          initial={{ password: "", pin: "" }}
          onSend={(body) => take(hub.PUT("/api/v1/account/approval-pin", { body }))}
          result={() => <Text size="sm">{t("pin_set")}</Text>}
        >
          {(form) => (
            <>
              <PasswordNow {...form.getInputProps("password")} />
              <PasswordInput
                label={t("pin")}
                description={t("pin_digits")}
                required
                inputMode="numeric"
                pattern="[0-9]{4,12}"
                autoComplete="off"
                {...form.getInputProps("pin")}
              />
            </>
          )}
        </FormDialog>
        <FormDialog
          label={t("remove_pin")}
          button={{ variant: "default" }}
          initial={{ password: "" }}
          onSend={(body) => take(hub.DELETE("/api/v1/account/approval-pin", { body }))}
          result={() => <Text size="sm">{t("pin_removed")}</Text>}
        >
          {(form) => <PasswordNow {...form.getInputProps("password")} />}
        </FormDialog>
      </Group>
    </Stack>
  );
}

function ChangePassword() {
  const { t } = useTranslation("account");
  return (
    <FormDialog
      label={t("change_password")}
      button={{ variant: "default" }}
      initial={{ current_password: "", password: "" }}
      onSend={async (body) => {
        const changed = await take(hub.POST("/api/v1/auth/password", { body }));
        await queries.invalidateQueries({ queryKey: ["logins"] });
        return changed;
      }}
      result={({ logins_ended: logins, access_tokens: tokens }) => <Text size="sm">{t("password_changed", { logins, tokens })}</Text>}
    >
      {(form) => (
        <>
          <PasswordNow {...form.getInputProps("current_password")} />
          <PasswordInput
            label={t("password_new")}
            description={t("password_about")}
            required
            minLength={8}
            maxLength={72}
            autoComplete="new-password"
            {...form.getInputProps("password")}
          />
        </>
      )}
    </FormDialog>
  );
}

function PasswordNow(props: Record<string, unknown>) {
  const { t } = useTranslation("account");
  return <PasswordInput label={t("password_now")} required autoComplete="current-password" {...props} />;
}
