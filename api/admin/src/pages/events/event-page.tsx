import { Anchor, Card, Code, Stack, Table, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import { hub, take } from "../../hub/client.ts";
import type { components } from "../../hub/schema.d.ts";
import { Asked } from "../../parts/asked.tsx";
import { Page } from "../../parts/page.tsx";
import { ChainGraph } from "./chain-graph.tsx";
import { subjectOf } from "./subject.ts";

type Event = components["schemas"]["Event"];
type EventNode = components["schemas"]["EventNode"];

/** What follows from an event comes within seconds. */
const AFRESH_MS = 5_000;

export function EventPage() {
  const { id } = useParams({ from: "/shell/events/$id" });
  const query = useQuery({
    queryKey: ["events", "one", id],
    queryFn: () => take(hub.GET("/api/v1/events/{id}", { params: { path: { id } } })),
  });
  return <Asked query={query}>{({ event }) => <Shown event={event} />}</Asked>;
}

function Shown({ event }: { readonly event: Event }) {
  const { t } = useTranslation("events");
  return (
    <Page
      title={event.type}
      about={
        <Anchor component={Link} to="/events" size="sm">
          {t("title")}
        </Anchor>
      }
    >
      <Chain event={event} />
      <Card withBorder>
        <Title order={2} size="h4" mb="sm">
          {t("facts")}
        </Title>
        <Facts event={event} />
      </Card>
      <Card withBorder>
        <Title order={2} size="h4" mb="sm">
          {t("data")}
        </Title>
        <Code block tabIndex={0} role="region" aria-label={t("data")} style={{ whiteSpace: "pre-wrap", overflowWrap: "anywhere" }}>
          {JSON.stringify(event.data, null, 2)}
        </Code>
      </Card>
    </Page>
  );
}

function Facts({ event }: { readonly event: Event }) {
  const { t } = useTranslation("events");
  const formats = useFormats();
  const facts = [
    ["when", formats.dateTime(event.timestamp)],
    ["by", `${event.actor.kind} ${event.actor.id}`],
    ["source", event.source],
    ["entity", event.entity_id],
    ["id", event.id],
    ["correlation", event.correlation_id],
  ] as const;
  return (
    <Table variant="vertical" layout="fixed">
      <Table.Tbody>
        {facts.map(
          ([name, value]) =>
            value !== null && (
              <Table.Tr key={name}>
                <Table.Th w="35%">{t(name)}</Table.Th>
                <Table.Td style={{ overflowWrap: "anywhere" }}>
                  {name === "entity" && event.type.startsWith("device.") ? (
                    <Anchor
                      component={Link}
                      to="/devices/$id"
                      params={{ id: typeof event.data["uid"] === "string" ? event.data["uid"] : value } as never}
                      size="sm"
                    >
                      {value}
                    </Anchor>
                  ) : (
                    value
                  )}
                </Table.Td>
              </Table.Tr>
            ),
        )}
      </Table.Tbody>
    </Table>
  );
}

/** What it followed from, and what followed from it: drawn, and as a list for whoever does not see the drawing. */
function Chain({ event }: { readonly event: Event }) {
  const { t } = useTranslation("events");
  const query = useQuery({
    queryKey: ["events", "chain", event.id],
    queryFn: () => take(hub.GET("/api/v1/events/{id}/chain", { params: { path: { id: event.id } } })),
    refetchInterval: AFRESH_MS,
  });
  return (
    <Card withBorder>
      <Title order={2} size="h4" mb="sm">
        {t("chain")}
      </Title>
      <Asked query={query}>
        {({ roots, count, truncated }) => (
          <Stack>
            <Text size="sm" c="dimmed">
              {t("chain_count", { count })} {truncated && t("truncated")}
            </Text>
            <ChainGraph roots={roots} currentId={event.id} />
            <details>
              <summary>{t("as_list")}</summary>
              <ChainList nodes={roots} currentId={event.id} />
            </details>
          </Stack>
        )}
      </Asked>
    </Card>
  );
}

function ChainList({ nodes, currentId }: { readonly nodes: readonly EventNode[]; readonly currentId: string }) {
  const { t } = useTranslation("events");
  const formats = useFormats();
  return (
    <ul style={{ paddingInlineStart: 16 }} aria-label={t("chain")}>
      {nodes.map(({ event, children }) => (
        <li key={event.id}>
          <Anchor
            component={Link}
            to="/events/$id"
            params={{ id: event.id } as never}
            aria-current={event.id === currentId ? "true" : undefined}
          >
            {event.type}
          </Anchor>{" "}
          {subjectOf(event)} ({formats.time(event.timestamp)}){children.length > 0 && <ChainList nodes={children} currentId={currentId} />}
        </li>
      ))}
    </ul>
  );
}
