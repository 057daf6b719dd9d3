import { Button, Modal, PasswordInput, Stack } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { useForm } from "@mantine/form";
import { useMutation } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { hub, take } from "../../hub/client.ts";
import { Failed } from "../../parts/failed.tsx";

/** Whoever has none, or has forgotten it, sets one with the account's password. */
export function SetPin() {
  const { t } = useTranslation("tasks");
  const [isShown, { open, close }] = useDisclosure(false);
  const form = useForm({
    initialValues: { pin: "", password: "" },
    validate: { pin: (pin) => (/^[0-9]{4,12}$/.test(pin) ? null : t("pin_form")) },
  });
  const save = useMutation({
    mutationFn: (body: typeof form.values) => take(hub.PUT("/api/v1/account/approval-pin", { body })),
    onSuccess() {
      form.reset();
      close();
    },
  });
  return (
    <>
      <Button size="compact-sm" variant="default" onClick={open}>
        {t("set_pin")}
      </Button>
      <Modal opened={isShown} onClose={close} title={t("set_pin")} closeButtonProps={{ "aria-label": t("shell:close") }}>
        <form onSubmit={form.onSubmit((values) => save.mutate(values))}>
          <Stack>
            {save.isError && <Failed error={save.error} />}
            <PasswordInput
              label={t("new_pin")}
              description={t("pin_form")}
              inputMode="numeric"
              autoComplete="off"
              visibilityToggleButtonProps={{ "aria-label": t("show_pin") }}
              {...form.getInputProps("pin")}
            />
            <PasswordInput
              label={t("password")}
              autoComplete="current-password"
              required
              visibilityToggleButtonProps={{ "aria-label": t("show_password") }}
              {...form.getInputProps("password")}
            />
            <Button type="submit" loading={save.isPending}>
              {t("shell:save")}
            </Button>
          </Stack>
        </form>
      </Modal>
    </>
  );
}
