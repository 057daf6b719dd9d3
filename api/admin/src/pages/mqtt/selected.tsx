import { Badge, Card, Code, Group, Stack, Text, Title } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import { Copied } from "../../parts/copied.tsx";
import type { Entry, Message } from "./explorer.ts";
import { Who } from "./who.tsx";

const MOST_SHOWN = 20;

/** One topic: its value, who may read it, what came before. */
export function Selected({
  topic,
  entry,
  recent,
}: {
  readonly topic: string;
  readonly entry: Entry | undefined;
  readonly recent: readonly Message[];
}) {
  const { t } = useTranslation("mqtt");
  const formats = useFormats();
  const before = recent.filter((message) => message.topic === topic).slice(0, MOST_SHOWN);
  return (
    <Card withBorder>
      <Stack gap="sm">
        <Title order={2} size="h4">
          {t("selected")}
        </Title>
        <Copied value={topic} label={t("topic")} />
        {entry ? (
          <>
            <Code block tabIndex={0} aria-label={t("payload")} style={{ whiteSpace: "pre-wrap", overflowWrap: "anywhere", maxHeight: 320 }}>
              {entry.text === undefined ? t("binary", { count: entry.bytes }) : readable(entry.text)}
            </Code>
            <Group gap="sm">
              {entry.isRetained && (
                <Badge variant="outline" color="gray">
                  {t("retained")}
                </Badge>
              )}
              <Text size="sm">{t("came", { when: formats.time(entry.at), count: entry.count, bytes: formats.number(entry.bytes) })}</Text>
            </Group>
          </>
        ) : (
          <Text size="sm">{t("nothing_yet")}</Text>
        )}
        <Who topic={topic} />
        {before.length > 1 && (
          <Stack gap={4}>
            <Title order={3} size="h5">
              {t("before")}
            </Title>
            {before.map((message, index) => (
              <Text key={`${message.at} ${index}`} size="sm" truncate>
                {formats.time(message.at)} <Code>{message.text ?? t("binary", { count: message.bytes })}</Code>
              </Text>
            ))}
          </Stack>
        )}
      </Stack>
    </Card>
  );
}

/** JSON in lines. */
function readable(text: string): string {
  if (!/^[[{]/.test(text)) return text;
  try {
    return JSON.stringify(JSON.parse(text), undefined, 2);
  } catch {
    return text;
  }
}
