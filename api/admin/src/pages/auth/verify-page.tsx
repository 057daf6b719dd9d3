import { Button, PasswordInput, Stack, Text } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useMutation } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { hub, take } from "../../hub/client.ts";
import { queries } from "../../hub/queries.ts";
import { me } from "../../hub/session.ts";
import { Failed } from "../../parts/failed.tsx";
import { LinkButton } from "../../parts/link-button.tsx";
import { AuthCard, useTokenOfAddress } from "./auth-card.tsx";
import { TokenField } from "./auth-fields.tsx";

interface Shown {
  readonly token: string;
  readonly password: string;
}

/** Where the link of a mail leads (bridges/mail/letter.ts). What opens links of mails by itself presses no button. */
export function VerifyPage() {
  const { t } = useTranslation("auth");
  const token = useTokenOfAddress();
  const form = useForm({ initialValues: { token, password: "" } });
  const verify = useMutation({ mutationFn: show, onSuccess: () => queries.invalidateQueries(me) });
  return (
    <AuthCard title={t("verify.title")} about={t("verify.about")}>
      {verify.data ? (
        <Text role="status">{t("verify.done", { email: verify.data.user.email })}</Text>
      ) : (
        <form onSubmit={form.onSubmit((values) => verify.mutate(values))}>
          <Stack>
            {verify.isError && <Failed error={verify.error} />}
            {token === "" && <TokenField {...form.getInputProps("token")} />}
            <PasswordInput
              label={t("verify.password")}
              description={t("verify.password_about")}
              autoComplete="current-password"
              {...form.getInputProps("password")}
            />
            <Button type="submit" loading={verify.isPending}>
              {t("verify.submit")}
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

const show = ({ token, password }: Shown) =>
  take(hub.POST("/api/v1/auth/verify-email", { body: { token: token.trim(), ...(password === "" ? {} : { password }) } }));
