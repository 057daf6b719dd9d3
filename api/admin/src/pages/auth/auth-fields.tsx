import { PasswordInput, TextInput } from "@mantine/core";
import type { GetInputPropsReturnType } from "@mantine/form";
import { useTranslation } from "react-i18next";

export function EmailField(props: GetInputPropsReturnType) {
  const { t } = useTranslation("auth");
  return <TextInput label={t("email")} type="email" required maxLength={255} autoComplete="username" {...props} />;
}

export function NewPasswordField(props: GetInputPropsReturnType) {
  const { t } = useTranslation("auth");
  return (
    <PasswordInput
      label={t("password")}
      description={t("password_about")}
      required
      minLength={8}
      maxLength={72}
      autoComplete="new-password"
      {...props}
    />
  );
}

export function NameField(props: GetInputPropsReturnType) {
  const { t } = useTranslation("auth");
  return <TextInput label={t("name")} maxLength={120} autoComplete="name" {...props} />;
}

/** From the mail, for whoever did not come by its link. */
export function TokenField(props: GetInputPropsReturnType) {
  const { t } = useTranslation("auth");
  return <TextInput label={t("token")} description={t("token_about")} required maxLength={256} autoComplete="off" {...props} />;
}
