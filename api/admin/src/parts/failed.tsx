import { Alert, Anchor, Button, Center, Code, Group, Stack, Text, Title } from "@mantine/core";
import { type NotificationData, notifications } from "@mantine/notifications";
import { useMutation, useQuery } from "@tanstack/react-query";
import { type ErrorComponentProps, Link, useRouter } from "@tanstack/react-router";
import { CircleAlert } from "lucide-react";
import { useEffect } from "react";
import { useTranslation } from "react-i18next";
import { loadNewer } from "../hub/build.ts";
import { ApiError } from "../hub/client.ts";
import { actIn, organizations } from "../hub/organizations.ts";
import { onReturn } from "../hub/reach.ts";
import { me } from "../hub/session.ts";
import { useSecondsLeft } from "./seconds-left.ts";
import { Waiting } from "./waiting.tsx";

/** What was not said by the hub, or is to be said in other words than the hub's. */
const WORDS = new Set([
  "unreachable",
  "timeout",
  "outcome_unknown",
  "malformed",
  "part_missing",
  "payload_too_large",
  "away",
  "internal_error",
]);

/** What went wrong, in words that help, with what finds it in the hub's log. */
export function Failed({ error, onRetry }: { readonly error: unknown; readonly onRetry?: (() => void) | undefined }) {
  const { t } = useTranslation();
  const words = useErrorWords();
  // What is said of when to try again counts down.
  useSecondsLeft(error instanceof ApiError ? error.retryAt : undefined);
  return (
    <Alert color="red" variant="light" icon={<CircleAlert aria-hidden />} title={t("failed.title")} role="alert">
      <Stack gap="xs" align="flex-start">
        <Text size="sm">{words(error)}</Text>
        <RequestId error={error} />
        {onRetry && error instanceof ApiError && error.status === 404 && <Elsewhere />}
        {onRetry && (
          <Button size="xs" variant="default" onClick={onRetry}>
            {t("failed.retry")}
          </Button>
        )}
      </Stack>
    </Alert>
  );
}

const OFFERED = 5;

/** Nothing of that name is here, and may be where the person does not act now. An administrator of the hub sees all of them. */
function Elsewhere() {
  const { t } = useTranslation();
  const words = useErrorWords();
  const { data: who } = useQuery({ ...me, enabled: false });
  const { data } = useQuery({ ...organizations, enabled: who?.is_hub_administrator === false });
  const change = useMutation({ mutationFn: (id: string) => actIn(id, location.pathname + location.search) });
  const others = data?.data.filter((one) => !one.is_current) ?? [];
  if (others.length === 0) return null;
  return (
    <>
      <Text size="sm">{t("organization.elsewhere", { name: data?.data.find((one) => one.is_current)?.name })}</Text>
      <Group gap="xs">
        {others.slice(0, OFFERED).map(({ id, name }) => (
          <Button
            key={id}
            size="xs"
            variant="default"
            loading={change.isPending && change.variables === id}
            onClick={() => change.mutate(id)}
          >
            {t("organization.look_in", { name })}
          </Button>
        ))}
      </Group>
      {change.isError && <Text size="sm">{words(change.error)}</Text>}
    </>
  );
}

export function RequestId({ error }: { readonly error: unknown }) {
  const { t } = useTranslation();
  if (!(error instanceof ApiError) || error.requestId === "") return null;
  return (
    <Text size="xs">
      {t("failed.request")} <Code>{error.requestId}</Code>
    </Text>
  );
}

/** The hub's own message, but where there was no hub or the person is to do something else than it says. */
export function useErrorWords(): (error: unknown) => string {
  const { t } = useTranslation();
  return (error) => {
    if (!(error instanceof ApiError)) return error instanceof Error ? error.message : String(error);
    const seconds = Math.max(0, Math.ceil(((error.retryAt ?? 0) - performance.now()) / 1_000));
    const when = seconds > 0 ? ` ${t("failed.when", { seconds })}` : "";
    if (error.code === "rate_limited") return t("failed.rate_limited") + when;
    return (WORDS.has(error.code) ? t(`failed.${error.code}`) : error.message) + when;
  };
}

/** For what went wrong where there is no place to say so. */
export function useTellFailure(): (error: unknown, told?: Pick<NotificationData, "title" | "autoClose">) => void {
  const { t } = useTranslation();
  const words = useErrorWords();
  return (error, told) =>
    void notifications.show({
      color: "red",
      title: t("failed.title"),
      ...told,
      message: (
        <>
          <Text size="sm">{words(error)}</Text>
          <RequestId error={error} />
        </>
      ),
      closeButtonProps: { "aria-label": t("close") },
    });
}

/** Of a whole page; it is tried again when the hub has been away and answers. */
export function FailedPage({ error }: ErrorComponentProps) {
  const router = useRouter();
  const again = () => void router.invalidate();
  const isPart = error instanceof ApiError && error.code === "part_missing";
  const part = useQuery({
    queryKey: ["part", error],
    queryFn: () => loadNewer(error as ApiError),
    enabled: isPart,
    gcTime: 0,
    retry: false,
  });
  useEffect(() => onReturn(again), []);
  if (isPart && part.isPending) return <Waiting />;
  return (
    <Center p="xl">
      <Failed error={part.data ?? error} onRetry={again} />
    </Center>
  );
}

export function MissingPage() {
  const { t } = useTranslation();
  return (
    <Center p="xl" component="main">
      <Stack align="center">
        <Title order={1}>{t("missing.title")}</Title>
        <Group>
          <Anchor component={Link} to="/dashboard">
            {t("missing.back")}
          </Anchor>
        </Group>
      </Stack>
    </Center>
  );
}
