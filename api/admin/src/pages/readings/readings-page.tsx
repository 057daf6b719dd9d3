import { ActionIcon, Button, Card, Group, Text, Title } from "@mantine/core";
import { ChevronLeft, ChevronRight, ZoomIn, ZoomOut } from "lucide-react";
import { useTranslation } from "react-i18next";
import { Allowed } from "../../parts/allowed.tsx";
import { useFormats } from "../../formats.ts";
import { Empty } from "../../parts/empty.tsx";
import { Failed } from "../../parts/failed.tsx";
import { LineChart } from "../../parts/line-chart.tsx";
import { Page } from "../../parts/page.tsx";
import { Waiting } from "../../parts/waiting.tsx";
import { ExportMenu } from "./export-menu.tsx";
import { Imports } from "./imports.tsx";
import { useLines } from "./lines.ts";
import { useSeriesNames } from "./names.ts";
import { SeriesPicker } from "./series-picker.tsx";
import { Terms } from "./terms.tsx";
import { boundsOf, moved, seriesText, useView, type View, type ViewChange } from "./view.ts";

export function ReadingsPage() {
  const { t } = useTranslation("readings");
  const { view, set } = useView();
  const names = useSeriesNames(view.series);
  return (
    <Page title={t("title")} about={t("about")} actions={<ExportMenu view={view} names={names} />}>
      <SeriesPicker series={view.series} names={names} onChange={(series) => set({ series: seriesText(series) })} />
      <Terms view={view} set={set} />
      {view.series.length === 0 ? <Empty title={t("empty")}>{t("empty_about")}</Empty> : <Shown view={view} names={names} set={set} />}
      <Allowed need="device.manage">
        <Imports />
      </Allowed>
    </Page>
  );
}

interface ShownProps {
  readonly view: View;
  readonly names: readonly string[];
  readonly set: (change: ViewChange) => void;
}

function Shown({ view, names, set }: ShownProps) {
  const { t } = useTranslation("readings");
  const formats = useFormats();
  const { query, lines } = useLines(view, names);
  const drawn = boundsOf(view, Date.now());
  return (
    <Card withBorder>
      <Group justify="space-between" mb="sm">
        <Title order={2} size="h4">
          {t("chart")}
        </Title>
        <Moves view={view} set={set} />
      </Group>
      {query.isError && <Failed error={query.error} onRetry={() => void query.refetch()} />}
      {query.isPending ? (
        <Waiting />
      ) : (
        <LineChart
          lines={lines}
          label={t("chart")}
          onZoom={(from, to) => set({ from: new Date(from).toISOString(), to: new Date(to).toISOString() })}
        />
      )}
      <Text size="xs" c="dimmed" mt="xs" role="status">
        {t(view.span ? "between" : "live", { from: formats.dateTime(drawn.from), to: formats.dateTime(drawn.to) })}
      </Text>
    </Card>
  );
}

/** What dragging over the chart does, for whoever does not drag. */
function Moves({ view, set }: Omit<ShownProps, "names">) {
  const { t } = useTranslation("readings");
  const move = (by: { zoom?: number; by?: number }) => set(moved(boundsOf(view, Date.now()), by, Date.now()));
  const moves = [
    ["earlier", ChevronLeft, { by: -0.5 }],
    ["zoom_in", ZoomIn, { zoom: 0.5 }],
    ["zoom_out", ZoomOut, { zoom: 2 }],
    ["later", ChevronRight, { by: 0.5 }],
  ] as const;
  return (
    <Group gap="xs">
      {view.span && (
        <Button size="xs" variant="default" onClick={() => set({ from: undefined, to: undefined })}>
          {t("reset", { range: t(`ranges.${view.range}`) })}
        </Button>
      )}
      {moves.map(([name, Icon, by]) => (
        <ActionIcon key={name} variant="default" aria-label={t(name)} onClick={() => move(by)}>
          <Icon size={16} aria-hidden />
        </ActionIcon>
      ))}
    </Group>
  );
}
