import { Alert, Anchor, Button, Center, Code, Group, Stack, Text, Title } from "@mantine/core";
import { type ErrorComponentProps, Link } from "@tanstack/react-router";
import { CircleAlert } from "lucide-react";
import { useTranslation } from "react-i18next";
import { ApiError } from "../hub/client.ts";

/** What went wrong, in words that help, with what finds it in the hub's log. */
export function Failed({ error, onRetry }: { readonly error: unknown; readonly onRetry?: (() => void) | undefined }) {
  const { t } = useTranslation();
  const words = useErrorWords();
  return (
    <Alert color="red" variant="light" icon={<CircleAlert aria-hidden />} title={t("failed.title")} role="alert">
      <Stack gap="xs" align="flex-start">
        <Text size="sm">{words(error)}</Text>
        <RequestId error={error} />
        {onRetry && (
          <Button size="xs" variant="default" onClick={onRetry}>
            {t("failed.retry")}
          </Button>
        )}
      </Stack>
    </Alert>
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
    if (error.code === "unreachable") return t("failed.unreachable");
    if (error.code === "rate_limited") return t("failed.rate_limited", { seconds: Math.ceil((error.retryAfterMs ?? 1_000) / 1_000) });
    if (error.code === "internal_error") return t("failed.internal_error");
    return error.message;
  };
}

export function FailedPage({ error, reset }: ErrorComponentProps) {
  return (
    <Center p="xl">
      <Failed error={error} onRetry={reset} />
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
