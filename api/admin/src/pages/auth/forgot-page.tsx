import { Button, Stack, Text } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useMutation } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { hub, take } from "../../hub/client.ts";
import { Failed } from "../../parts/failed.tsx";
import { LinkButton } from "../../parts/link-button.tsx";
import { AuthCard } from "./auth-card.tsx";
import { EmailField } from "./auth-fields.tsx";

export function ForgotPage() {
  const { t } = useTranslation("auth");
  const form = useForm({ initialValues: { email: "" } });
  const asking = useMutation({
    mutationFn: ({ email }: { readonly email: string }) =>
      take(hub.POST("/api/v1/auth/password/forgot", { body: { email: email.trim() } })),
  });
  return (
    <AuthCard title={t("forgot.title")} about={t("forgot.about")}>
      {asking.isSuccess ? (
        <Text role="status">{t("forgot.sent")}</Text>
      ) : (
        <form onSubmit={form.onSubmit((values) => asking.mutate(values))}>
          <Stack>
            {asking.isError && <Failed error={asking.error} />}
            <EmailField {...form.getInputProps("email")} />
            <Button type="submit" loading={asking.isPending}>
              {t("forgot.submit")}
            </Button>
          </Stack>
        </form>
      )}
      <LinkButton to="/auth/login" variant="default">
        {t("to_login")}
      </LinkButton>
    </AuthCard>
  );
}
