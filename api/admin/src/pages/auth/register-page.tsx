import { Button, Stack, Text, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useMutation } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { hub, take } from "../../hub/client.ts";
import { Failed } from "../../parts/failed.tsx";
import { LinkButton } from "../../parts/link-button.tsx";
import { AuthCard } from "./auth-card.tsx";
import { EmailField, NameField, NewPasswordField } from "./auth-fields.tsx";

interface Wanted {
  email: string;
  password: string;
  name: string;
  organization: string;
}

/** Where the hub lets anybody ask for an account; elsewhere it says so. */
export function RegisterPage() {
  const { t } = useTranslation("auth");
  const form = useForm<Wanted>({ initialValues: { email: "", password: "", name: "", organization: "" } });
  const register = useMutation({ mutationFn: ask });
  return (
    <AuthCard title={t("register.title")} about={t("register.about")}>
      {register.isSuccess ? (
        <Text role="status">{t("register.sent", { email: form.values.email })}</Text>
      ) : (
        <form onSubmit={form.onSubmit((wanted) => register.mutate(wanted))}>
          <Stack>
            {register.isError && <Failed error={register.error} />}
            <NameField {...form.getInputProps("name")} />
            <EmailField {...form.getInputProps("email")} />
            <NewPasswordField {...form.getInputProps("password")} />
            <TextInput
              label={t("register.organization")}
              maxLength={120}
              autoComplete="organization"
              {...form.getInputProps("organization")}
            />
            <Button type="submit" loading={register.isPending}>
              {t("register.submit")}
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

function ask({ email, password, name, organization }: Wanted) {
  const named = {
    ...(name.trim() === "" ? {} : { name: name.trim() }),
    ...(organization.trim() === "" ? {} : { organization_name: organization.trim() }),
  };
  return take(hub.POST("/api/v1/auth/register", { body: { email: email.trim(), password, ...named } }));
}
