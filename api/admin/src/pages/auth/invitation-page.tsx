import { Button, PasswordInput, Stack, Text } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { hub, take } from "../../hub/client.ts";
import { queries } from "../../hub/queries.ts";
import { type Credentials, logIn } from "../../hub/session.ts";
import { Asked } from "../../parts/asked.tsx";
import { Failed } from "../../parts/failed.tsx";
import { AuthCard, useTokenOfAddress } from "./auth-card.tsx";
import { EmailField, NameField, NewPasswordField, TokenField } from "./auth-fields.tsx";

/** Where the link of an invitation leads: with the account that is logged in, or with a new one. */
export function InvitationPage() {
  const { t } = useTranslation("auth");
  const token = useTokenOfAddress();
  const query = useQuery({ queryKey: ["invited"], queryFn: whoIsThere });
  return (
    <AuthCard title={t("invitation.title")} about={t("invitation.about")}>
      <Asked query={query}>
        {(email) =>
          email === null ? <Strange token={token} onLogin={() => void query.refetch()} /> : <Accept token={token} email={email} />
        }
      </Asked>
    </AuthCard>
  );
}

/** Nobody is no end of a session here. */
async function whoIsThere(): Promise<string | null> {
  const { data } = await hub.GET("/api/v1/auth/me");
  return data?.user?.email ?? null;
}

/** Has an account and logs in, or makes one. */
function Strange({ token, onLogin }: { readonly token: string; readonly onLogin: () => void }) {
  const { t } = useTranslation("auth");
  const [hasAccount, setHasAccount] = useState(false);
  return (
    <Stack>
      {hasAccount ? <LogIn onLogin={onLogin} /> : <Register token={token} />}
      <Button variant="default" onClick={() => setHasAccount(!hasAccount)}>
        {t(hasAccount ? "invitation.no_account" : "invitation.has_account")}
      </Button>
    </Stack>
  );
}

function LogIn({ onLogin }: { readonly onLogin: () => void }) {
  const { t } = useTranslation("auth");
  const form = useForm<Credentials>({ initialValues: { email: "", password: "", remember: false } });
  const login = useMutation({ mutationFn: logIn, onSuccess: onLogin });
  return (
    <form onSubmit={form.onSubmit((values) => login.mutate(values))}>
      <Stack>
        {login.isError && <Failed error={login.error} />}
        <EmailField {...form.getInputProps("email")} />
        <PasswordInput label={t("password")} required autoComplete="current-password" {...form.getInputProps("password")} />
        <Button type="submit" loading={login.isPending}>
          {t("submit")}
        </Button>
      </Stack>
    </form>
  );
}

function Accept({ token, email }: { readonly token: string; readonly email: string }) {
  const { t } = useTranslation("auth");
  const navigate = useNavigate();
  const form = useForm({ initialValues: { token } });
  const accept = useMutation({
    mutationFn: join,
    async onSuccess() {
      await queries.invalidateQueries();
      await navigate({ to: "/dashboard" });
    },
  });
  return (
    <form onSubmit={form.onSubmit((values) => accept.mutate(values.token.trim()))}>
      <Stack>
        {accept.isError && <Failed error={accept.error} />}
        <Text size="sm">{t("invitation.as", { email })}</Text>
        {token === "" && <TokenField {...form.getInputProps("token")} />}
        <Button type="submit" loading={accept.isPending}>
          {t("invitation.accept")}
        </Button>
      </Stack>
    </form>
  );
}

/** And acts there from now on. */
async function join(token: string): Promise<void> {
  const { organization } = await take(hub.POST("/api/v1/invitations/accept", { body: { token } }));
  await take(hub.POST("/api/v1/auth/organization", { body: { organization_id: organization.id } }));
}

interface Wanted {
  token: string;
  name: string;
  password: string;
}

function Register({ token }: { readonly token: string }) {
  const { t } = useTranslation("auth");
  const navigate = useNavigate();
  const form = useForm<Wanted>({ initialValues: { token, name: "", password: "" } });
  const register = useMutation({ mutationFn: makeAccount, onSuccess: () => navigate({ to: "/dashboard" }) });
  return (
    <form onSubmit={form.onSubmit((wanted) => register.mutate(wanted))}>
      <Stack>
        {register.isError && <Failed error={register.error} />}
        {token === "" && <TokenField {...form.getInputProps("token")} />}
        <NameField {...form.getInputProps("name")} />
        <NewPasswordField {...form.getInputProps("password")} />
        <Button type="submit" loading={register.isPending}>
          {t("invitation.register")}
        </Button>
      </Stack>
    </form>
  );
}

/** The session that the hub gives with it is for programs: the browser logs in for its cookie. */
async function makeAccount({ token, name, password }: Wanted): Promise<void> {
  const named = name.trim() === "" ? {} : { name: name.trim() };
  const { user } = await take(hub.POST("/api/v1/invitations/register", { body: { token: token.trim(), password, ...named } }));
  await logIn({ email: user.email, password, remember: false });
}
