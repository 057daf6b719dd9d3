import { Alert, Badge, Button, Card, Checkbox, Grid, Group, Stack, Text, TextInput, Title } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { type FormEvent, useEffect, useMemo, useState, useSyncExternalStore } from "react";
import { useTranslation } from "react-i18next";
import { useRights } from "../../hub/rights.ts";
import { useFormats } from "../../formats.ts";
import { Empty } from "../../parts/empty.tsx";
import { Page } from "../../parts/page.tsx";
import { Waiting } from "../../parts/waiting.tsx";
import { type Entry, Explorer, type Snapshot } from "./explorer.ts";
import { Publish } from "./publish.tsx";
import { useReasonWords } from "./reasons.ts";
import { Selected } from "./selected.tsx";
import { TopicTree } from "./topic-tree.tsx";
import { treeOf } from "./tree.ts";

const EVERYTHING = "#";
const RETAINED = "retained";
const TYPING_MS = 250;
const COLORS = { connecting: "gray", open: "teal", lost: "red" } as const;

export function MqttPage() {
  const { filter = EVERYTHING } = useSearch({ from: "/shell/mqtt" });
  // With another filter everything begins anew.
  return <Exploring key={filter} filter={filter} />;
}

function Exploring({ filter }: { readonly filter: string }) {
  const { t } = useTranslation("mqtt");
  const explorer = useExplorer(filter);
  return (
    <Page title={t("title")} about={t("about")}>
      {explorer ? <Shown explorer={explorer} filter={filter} /> : <Waiting />}
    </Page>
  );
}

function useExplorer(filter: string): Explorer | undefined {
  const [explorer, setExplorer] = useState<Explorer>();
  useEffect(() => {
    const opened = new Explorer(filter);
    setExplorer(opened);
    opened.open();
    return () => opened.close();
  }, [filter]);
  return explorer;
}

function Shown({ explorer, filter }: { readonly explorer: Explorer; readonly filter: string }) {
  const { t } = useTranslation("mqtt");
  const words = useReasonWords();
  const { may, maySomewhere } = useRights();
  const snapshot = useSyncExternalStore(explorer.watch, explorer.snapshot);
  const { topic } = useSearch({ from: "/shell/mqtt" });
  const set = useSet();
  return (
    <Stack>
      <Filter filter={filter} onFilter={(wanted) => set({ filter: wanted === EVERYTHING ? undefined : wanted, topic: undefined })} />
      <State snapshot={snapshot} />
      {snapshot.refusal !== undefined && (
        <Alert color="red" variant="outline" role="alert">
          <Text size="sm" fw={600}>
            {t("refused", { filter })}
          </Text>
          {words(snapshot.refusal)}
        </Alert>
      )}
      <Grid>
        <Grid.Col span={{ base: 12, md: 7 }}>
          <Topics snapshot={snapshot} selected={topic} onSelect={(wanted) => set({ topic: wanted })} />
        </Grid.Col>
        <Grid.Col span={{ base: 12, md: 5 }}>
          <Stack>
            {topic !== undefined && <Selected topic={topic} entry={snapshot.topics.get(topic)} recent={snapshot.recent} />}
            {(may("bus.publish") || maySomewhere("device.control")) && (
              <Publish key={topic} topic={topic ?? ""} isOpen={snapshot.link.state === "open"} />
            )}
          </Stack>
        </Grid.Col>
      </Grid>
    </Stack>
  );
}

function useSet(): (change: Record<string, string | undefined>) => void {
  const navigate = useNavigate({ from: "/mqtt" });
  return (change) => void navigate({ search: (before) => ({ ...before, ...change }), replace: true });
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

function State({ snapshot: { link, received, topics, leftOut } }: { readonly snapshot: Snapshot }) {
  const { t } = useTranslation("mqtt");
  const formats = useFormats();
  const words = useReasonWords();
  return (
    <Group gap="lg">
      <Badge variant="dot" size="lg" color={COLORS[link.state]} role="status" tt="none" maw="100%">
        {t(`state.${link.state}`, { reason: words(link.reason ?? "lost") })}
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

function Topics({ snapshot: { topics, link }, selected, onSelect }: TopicsProps) {
  const { t } = useTranslation("mqtt");
  const { find = "", show } = useSearch({ from: "/shell/mqtt" });
  const [toggled, setToggled] = useState<ReadonlySet<string>>(new Set());
  const shown = useMemo(() => found(topics.values(), find, show === RETAINED), [topics, find, show]);
  const tree = useMemo(() => treeOf(shown), [shown]);
  const toggle = (path: string): void => setToggled((before) => before.symmetricDifference(new Set([path])));
  if (topics.size === 0) return link.state === "connecting" ? <Waiting /> : <Empty title={t("empty")}>{t("empty_about")}</Empty>;
  return (
    <Card withBorder>
      <Title order={2} size="h4" mb="xs">
        {t("topics")}
      </Title>
      <Search find={find} isRetained={show === RETAINED} />
      {shown.length === 0 ? (
        <Empty title={t("none_found")}>{t("none_found_about")}</Empty>
      ) : (
        <TopicTree
          node={tree}
          depth={0}
          // What was searched for is not hidden in a fold.
          isOpen={find !== ""}
          toggled={toggled}
          onToggle={toggle}
          selected={selected}
          onSelect={onSelect}
        />
      )}
    </Card>
  );
}

function Search({ find, isRetained }: { readonly find: string; readonly isRetained: boolean }) {
  const { t } = useTranslation("mqtt");
  const set = useSet();
  const type = useDebouncedCallback((text: string) => set({ find: text === "" ? undefined : text }), TYPING_MS);
  return (
    <Group align="flex-end" mb="sm">
      <TextInput
        label={t("find")}
        description={t("find_about")}
        defaultValue={find}
        onChange={({ currentTarget }) => type(currentTarget.value)}
        style={{ flex: "1 1 220px" }}
      />
      <Checkbox
        label={t("only_retained")}
        checked={isRetained}
        onChange={({ currentTarget }) => set({ show: currentTarget.checked ? RETAINED : undefined })}
      />
    </Group>
  );
}

function found(entries: Iterable<Entry>, find: string, isRetained: boolean): Entry[] {
  const wanted = find.toLowerCase();
  return [...entries].filter(
    ({ topic, text, ...entry }) =>
      (!isRetained || entry.isRetained) && (topic.toLowerCase().includes(wanted) || text?.toLowerCase().includes(wanted)),
  );
}
