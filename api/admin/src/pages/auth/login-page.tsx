import { Anchor, Button, Center, Checkbox, Group, Paper, PasswordInput, Stack, Text, TextInput, Title } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useMutation } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { type Credentials, logIn } from "../../hub/session.ts";
import { Failed } from "../../parts/failed.tsx";
import { useTitle } from "../../parts/title.ts";

export function LoginPage() {
  const { t } = useTranslation("auth");
  const { next } = useSearch({ from: "/auth/login" });
  const navigate = useNavigate();
  const form = useForm<Credentials>({ mode: "uncontrolled", initialValues: { email: "", password: "", remember: false } });
  const login = useMutation({ mutationFn: logIn, onSuccess: () => navigate({ href: next ?? "/" }) });
  useTitle(t("title"));
  return (
    <Center component="main" mih="100vh" p="md">
      <Paper withBorder p="xl" w={380} maw="100%">
        <form onSubmit={form.onSubmit((values) => login.mutate(values))}>
          <Stack>
            <div>
              <Title order={1} size="h2">
                {t("title")}
              </Title>
              <Text c="dimmed" size="sm">
                {t("about")}
              </Text>
            </div>
            {login.isError && <Failed error={login.error} />}
            <TextInput
              label={t("email")}
              type="email"
              required
              autoComplete="username"
              {...form.getInputProps("email")}
              key={form.key("email")}
            />
            <PasswordInput
              label={t("password")}
              required
              autoComplete="current-password"
              {...form.getInputProps("password")}
              key={form.key("password")}
            />
            <Checkbox label={t("remember")} {...form.getInputProps("remember", { type: "checkbox" })} key={form.key("remember")} />
            <Button type="submit" loading={login.isPending}>
              {t("submit")}
            </Button>
          </Stack>
        </form>
        <Group justify="space-between" mt="md">
          <Anchor component={Link} to="/auth/forgot" size="sm">
            {t("forgot.link")}
          </Anchor>
          <Anchor component={Link} to="/auth/register" size="sm">
            {t("register.link")}
          </Anchor>
        </Group>
      </Paper>
    </Center>
  );
}
