import { Button, Stack, Text } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useMutation } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { hub, take } from "../../hub/client.ts";
import { Failed } from "../../parts/failed.tsx";
import { LinkButton } from "../../parts/link-button.tsx";
import { AuthCard, useTokenOfAddress } from "./auth-card.tsx";
import { NewPasswordField, TokenField } from "./auth-fields.tsx";

/** Where the link of a mail leads (bridges/mail/letter.ts). */
export function ResetPage() {
  const { t } = useTranslation("auth");
  const token = useTokenOfAddress();
  const form = useForm({ initialValues: { token, password: "" } });
  const reset = useMutation({
    mutationFn: (values: { readonly token: string; readonly password: string }) =>
      take(hub.POST("/api/v1/auth/password/reset", { body: { ...values, token: values.token.trim() } })),
  });
  return (
    <AuthCard title={t("reset.title")} about={t("reset.about")}>
      {reset.data ? (
        <Text role="status">{t("reset.done", { tokens: reset.data.access_tokens })}</Text>
      ) : (
        <form onSubmit={form.onSubmit((values) => reset.mutate(values))}>
          <Stack>
            {reset.isError && <Failed error={reset.error} />}
            {token === "" && <TokenField {...form.getInputProps("token")} />}
            <NewPasswordField {...form.getInputProps("password")} />
            <Button type="submit" loading={reset.isPending}>
              {t("reset.submit")}
            </Button>
          </Stack>
        </form>
      )}
      {reset.isError && (
        <LinkButton to="/auth/forgot" variant="default">
          {t("reset.again")}
        </LinkButton>
      )}
      <LinkButton to="/auth/login" variant="default">
        {t("to_login")}
      </LinkButton>
    </AuthCard>
  );
}
