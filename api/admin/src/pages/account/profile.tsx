import { Button, Group, PasswordInput, Stack, Text, TextInput } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useForm } from "@mantine/form";
import { useMutation } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { hub, take } from "../../hub/client.ts";
import { queries } from "../../hub/queries.ts";
import type { components } from "../../hub/schema.d.ts";
import { me } from "../../hub/session.ts";
import { Failed } from "../../parts/failed.tsx";
import { FormDialog } from "../../parts/form-dialog.tsx";

type User = components["schemas"]["User"];

export function Profile({ user }: { readonly user: User }) {
  return (
    <Stack>
      <Name user={user} />
      <Email user={user} />
    </Stack>
  );
}

function Name({ user }: { readonly user: User }) {
  const { t } = useTranslation("account");
  const form = useForm({ initialValues: { name: user.name ?? "" } });
  const change = useMutation({
    mutationFn: ({ name }: { readonly name: string }) =>
      take(hub.PATCH("/api/v1/auth/me", { body: { name: name.trim() === "" ? null : name.trim() } })),
    onSuccess() {
      notifications.show({ message: t("saved") });
      return queries.invalidateQueries(me);
    },
  });
  return (
    <form onSubmit={form.onSubmit((values) => change.mutate(values))}>
      <Stack gap="xs">
        {change.isError && <Failed error={change.error} />}
        <Group align="flex-end">
          <TextInput label={t("name")} maxLength={120} autoComplete="name" style={{ flex: "1 1 180px" }} {...form.getInputProps("name")} />
          <Button type="submit" variant="default" loading={change.isPending}>
            {t("shell:save")}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

function Email({ user }: { readonly user: User }) {
  const { t } = useTranslation("account");
  const verification = useMutation({
    mutationFn: () => take(hub.POST("/api/v1/auth/verification")),
    onSuccess: () => notifications.show({ message: t("mail_sent", { email: user.email }) }),
  });
  return (
    <Stack gap="xs">
      <Text size="sm" style={{ overflowWrap: "anywhere" }}>
        {user.email} · {t(user.is_email_verified ? "verified" : "unverified")}
      </Text>
      {verification.isError && <Failed error={verification.error} />}
      <Group gap="xs">
        <FormDialog
          label={t("change_email")}
          button={{ variant: "default" }}
          initial={{ email: "", password: "" }}
          onSend={({ email, password }) => take(hub.POST("/api/v1/auth/email", { body: { email: email.trim(), password } }))}
          result={() => <Text size="sm">{t("email_asked")}</Text>}
        >
          {(form) => (
            <>
              <TextInput label={t("new_email")} type="email" required maxLength={255} {...form.getInputProps("email")} />
              <PasswordInput label={t("password_now")} required autoComplete="current-password" {...form.getInputProps("password")} />
            </>
          )}
        </FormDialog>
        {!user.is_email_verified && (
          <Button variant="default" loading={verification.isPending} onClick={() => verification.mutate()}>
            {t("verify")}
          </Button>
        )}
      </Group>
    </Stack>
  );
}
