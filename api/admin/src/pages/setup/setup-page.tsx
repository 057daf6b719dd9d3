import { Button, Center, Checkbox, Paper, PasswordInput, Stack, Stepper, Text, TextInput, Title } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { hub, take } from "../../hub/client.ts";
import { queries } from "../../hub/queries.ts";
import { logIn, setupState } from "../../hub/session.ts";
import { Asked } from "../../parts/asked.tsx";
import { Failed } from "../../parts/failed.tsx";
import { LinkButton } from "../../parts/link-button.tsx";
import { useTitle } from "../../parts/title.ts";
import { SetupDone } from "./setup-done.tsx";

interface Wanted {
  token: string;
  name: string;
  email: string;
  password: string;
  organization: string;
  demo: boolean;
}

/** Three screens: who you are, what it is called, and that it works. */
export function SetupPage() {
  const { t } = useTranslation("setup");
  const state = useQuery(setupState);
  const [isDone, setDone] = useState(false);
  useTitle(t("title"));
  return (
    <Center component="main" mih="100vh" p="md">
      <Paper withBorder p="xl" w={560} maw="100%">
        <Stack>
          <Title order={1} size="h2">
            {t("title")}
          </Title>
          <Asked query={state}>{({ needed }) => (needed || isDone ? <Steps onDone={() => setDone(true)} /> : <AlreadySetUp />)}</Asked>
        </Stack>
      </Paper>
    </Center>
  );
}

function AlreadySetUp() {
  const { t } = useTranslation("setup");
  return (
    <Stack align="flex-start">
      <Text>{t("already")}</Text>
      <LinkButton to="/auth/login">{t("log_in")}</LinkButton>
    </Stack>
  );
}

function Steps({ onDone }: { readonly onDone: () => void }) {
  const { t } = useTranslation("setup");
  const [step, setStep] = useState(0);
  const form = useForm<Wanted>({
    initialValues: { token: tokenOfAddress(), name: "", email: "", password: "", organization: "", demo: true },
  });
  const setup = useMutation({
    mutationFn: setUp,
    onSuccess() {
      onDone();
      setStep(2);
    },
  });
  return (
    <form onSubmit={form.onSubmit((wanted) => (step === 0 ? setStep(1) : setup.mutate(wanted)))}>
      <Stack>
        <Stepper active={step} size="sm" {...(step === 1 ? { onStepClick: setStep } : {})} allowNextStepsSelect={false}>
          <Stepper.Step label={t("step_account")} />
          <Stepper.Step label={t("step_home")} />
          <Stepper.Step label={t("step_done")} />
        </Stepper>
        {setup.isError && <Failed error={setup.error} />}
        {step === 0 && (
          <>
            <TextInput label={t("token")} description={t("token_about")} required autoComplete="off" {...form.getInputProps("token")} />
            <TextInput label={t("name")} maxLength={120} autoComplete="name" {...form.getInputProps("name")} />
            <TextInput label={t("email")} type="email" required autoComplete="username" {...form.getInputProps("email")} />
            <PasswordInput
              label={t("password")}
              description={t("password_about")}
              required
              minLength={8}
              maxLength={72}
              autoComplete="new-password"
              {...form.getInputProps("password")}
            />
            <Button type="submit">{t("next")}</Button>
          </>
        )}
        {step === 1 && (
          <>
            <TextInput
              label={t("organization")}
              description={t("organization_about")}
              maxLength={120}
              {...form.getInputProps("organization")}
            />
            <Checkbox label={t("demo")} description={t("demo_about")} {...form.getInputProps("demo", { type: "checkbox" })} />
            <Button type="submit" loading={setup.isPending}>
              {t("finish")}
            </Button>
          </>
        )}
        {step === 2 && <SetupDone hasDemo={form.values.demo} />}
      </Stack>
    </form>
  );
}

async function setUp({ token, name, email, password, organization, demo }: Wanted): Promise<void> {
  const named = { ...(name === "" ? {} : { name }), ...(organization === "" ? {} : { organization }) };
  await take(hub.POST("/api/v1/setup", { body: { token: token.trim(), email, password, ...named } }));
  await logIn({ email, password, remember: true });
  queries.setQueryData(setupState.queryKey, { needed: false });
  if (demo) await take(hub.POST("/api/v1/demo"));
}

/** It comes in the fragment, which no server and no log sees, and does not stay in the address bar. */
function tokenOfAddress(): string {
  const fragment = location.hash.slice(1);
  if (fragment !== "") history.replaceState(null, "", location.pathname);
  return new URLSearchParams(fragment).get("token") ?? fragment;
}
