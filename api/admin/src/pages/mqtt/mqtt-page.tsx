import { Alert, Badge, Button, Card, Grid, Group, Stack, Text, TextInput, Title } from "@mantine/core";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { type FormEvent, useEffect, useMemo, useState, useSyncExternalStore } from "react";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import { Empty } from "../../parts/empty.tsx";
import { Page } from "../../parts/page.tsx";
import { Waiting } from "../../parts/waiting.tsx";
import { Explorer, type Snapshot } from "./explorer.ts";
import { Publish } from "./publish.tsx";
import { Selected } from "./selected.tsx";
import { TopicTree } from "./topic-tree.tsx";
import { treeOf } from "./tree.ts";

const EVERYTHING = "#";
const COLORS = { connecting: "gray", open: "teal", lost: "red" } as const;

export function MqttPage() {
  const { filter = EVERYTHING } = useSearch({ from: "/shell/mqtt" });
  // With another filter everything begins anew.
  return <Exploring key={filter} filter={filter} />;
}

function Exploring({ filter }: { readonly filter: string }) {
  const { t } = useTranslation("mqtt");
  const { topic } = useSearch({ from: "/shell/mqtt" });
  const explorer = useExplorer(filter);
  return (
    <Page title={t("title")} about={t("about")}>
      {explorer ? <Shown explorer={explorer} filter={filter} topic={topic} /> : <Waiting />}
    </Page>
  );
}

function useExplorer(filter: string): Explorer | undefined {
  const [explorer, setExplorer] = useState<Explorer>();
  useEffect(() => {
    const opened = new Explorer(filter);
    setExplorer(opened);
    void opened.open();
    return () => opened.close();
  }, [filter]);
  return explorer;
}

function Shown({ explorer, filter, topic }: { readonly explorer: Explorer; readonly filter: string; readonly topic: string | undefined }) {
  const { t } = useTranslation("mqtt");
  const snapshot = useSyncExternalStore(explorer.watch, explorer.snapshot);
  const navigate = useNavigate({ from: "/mqtt" });
  const set = (change: Record<string, string | undefined>): void =>
    void navigate({ search: (before) => ({ ...before, ...change }), replace: true });
  return (
    <Stack>
      <Filter filter={filter} onFilter={(wanted) => set({ filter: wanted === EVERYTHING ? undefined : wanted, topic: undefined })} />
      <State snapshot={snapshot} />
      {snapshot.refusal !== undefined && (
        <Alert color="red" variant="outline" role="alert">
          <Text size="sm" fw={600}>
            {t("refused", { filter })}
          </Text>
          {t("refused_about")}
        </Alert>
      )}
      <Grid>
        <Grid.Col span={{ base: 12, md: 7 }}>
          <Topics snapshot={snapshot} selected={topic} onSelect={(wanted) => set({ topic: wanted })} />
        </Grid.Col>
        <Grid.Col span={{ base: 12, md: 5 }}>
          <Stack>
            {topic !== undefined && <Selected topic={topic} entry={snapshot.topics.get(topic)} recent={snapshot.recent} />}
            <Publish key={topic} explorer={explorer} topic={topic ?? ""} isOpen={snapshot.state === "open"} />
          </Stack>
        </Grid.Col>
      </Grid>
    </Stack>
  );
}

function Filter({ filter, onFilter }: { readonly filter: string; readonly onFilter: (filter: string) => void }) {
  const { t } = useTranslation("mqtt");
  const [typed, setTyped] = useState(filter);
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    onFilter(typed === "" ? EVERYTHING : typed);
  };
  return (
    <form onSubmit={submit}>
      <Group align="flex-end">
        <TextInput
          label={t("filter")}
          description={t("filter_about")}
          value={typed}
          onChange={({ currentTarget }) => setTyped(currentTarget.value)}
          style={{ flex: "1 1 220px" }}
        />
        <Button type="submit" variant="default">
          {t("subscribe")}
        </Button>
      </Group>
    </form>
  );
}

function State({ snapshot: { state, received, topics, leftOut } }: { readonly snapshot: Snapshot }) {
  const { t } = useTranslation("mqtt");
  const formats = useFormats();
  return (
    <Group gap="lg">
      <Badge variant="dot" size="lg" color={COLORS[state]} role="status">
        {t(`state.${state}`)}
      </Badge>
      <Text size="sm">{t("received", { messages: formats.number(received), topics: formats.number(topics.size) })}</Text>
      {leftOut > 0 && <Text size="sm">{t("left_out", { messages: formats.number(leftOut) })}</Text>}
    </Group>
  );
}

interface TopicsProps {
  readonly snapshot: Snapshot;
  readonly selected: string | undefined;
  readonly onSelect: (topic: string) => void;
}

function Topics({ snapshot: { topics, state }, selected, onSelect }: TopicsProps) {
  const { t } = useTranslation("mqtt");
  const [toggled, setToggled] = useState<ReadonlySet<string>>(new Set());
  const tree = useMemo(() => treeOf(topics.values()), [topics]);
  const toggle = (path: string): void => setToggled((before) => before.symmetricDifference(new Set([path])));
  if (topics.size === 0) return state === "connecting" ? <Waiting /> : <Empty title={t("empty")}>{t("empty_about")}</Empty>;
  return (
    <Card withBorder>
      <Title order={2} size="h4" mb="xs">
        {t("topics")}
      </Title>
      <TopicTree node={tree} depth={0} toggled={toggled} onToggle={toggle} selected={selected} onSelect={onSelect} />
    </Card>
  );
}
