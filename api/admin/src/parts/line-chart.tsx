import "uplot/dist/uPlot.min.css";
import "./line-chart.css";
import { Text, useComputedColorScheme } from "@mantine/core";
import { useElementSize, useMergedRef } from "@mantine/hooks";
import { useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import UPlot from "uplot";
import { type Formats, useFormats, useZone } from "../formats.ts";

export interface Line {
  readonly label: string;
  /** [ms since 1970, value], oldest first; null: a gap. */
  readonly points: readonly (readonly [number, number | null])[];
}

interface LineChartProps {
  readonly lines: readonly Line[];
  readonly label: string;
  /** ms since 1970: what was dragged over is asked for anew, and not only drawn larger. */
  readonly onZoom?: (from: number, to: number) => void;
}

const HEIGHT = 240;
const LEAST_S = 60;
/** So few are shown one by one too. */
const FEW = 60;
/** Readable on white and on the dark ground. */
const COLORS = ["#0b7285", "#d9480f", "#5f3dc4", "#2b8a3e", "#c2255c", "#1864ab", "#e67700", "#495057"];
const COLORS_DARK = ["#3bc9db", "#ff922b", "#b197fc", "#69db7c", "#faa2c1", "#74c0fc", "#ffd43b", "#ced4da"];

/** Several series over one axis of time. What it shows is told in words too, for whoever cannot see it. */
export function LineChart({ lines, label, onZoom }: LineChartProps) {
  const { ref, width } = useElementSize();
  const [element, setElement] = useState<HTMLDivElement | null>(null);
  const box = useMergedRef(ref, setElement);
  const plot = useRef<UPlot>(undefined);
  const zoom = useRef(onZoom);
  zoom.current = onZoom;
  const scheme = useComputedColorScheme("light");
  const formats = useFormats();
  const zone = useZone();
  const { t } = useTranslation();
  const shape = lines.map((line) => line.label).join("\n");
  useEffect(() => {
    if (!element || width === 0) return undefined;
    const made = new UPlot(
      {
        ...optionsOf(shape === "" ? [] : shape.split("\n"), { width, scheme, time: t("chart.time"), formats, zone }),
        ...(zoom.current ? zooming((from, to) => zoom.current?.(from, to)) : {}),
      },
      aligned(lines),
      element,
    );
    plot.current = made;
    return () => {
      made.destroy();
      plot.current = undefined;
    };
    // Data alone changes nothing but the data, below.
  }, [element, shape, width, scheme, formats, zone, t]);
  useEffect(() => {
    const began = performance.now();
    plot.current?.setData(aligned(lines));
    // uPlot draws when this is through.
    queueMicrotask(() => measured(began));
  }, [lines]);
  const isEmpty = lines.every(({ points }) => points.length === 0);
  const newest = lines.map(
    ({ label: name, points }) => `${name} ${formats.number(points.findLast(([, value]) => value !== null)?.[1] ?? Number.NaN)}`,
  );
  return (
    <div
      role="img"
      aria-label={isEmpty ? `${label}: ${t("chart.empty")}` : `${label}; ${t("chart.newest", { value: formats.list(newest) })}`}
    >
      {isEmpty && (
        <Text c="dimmed" size="sm">
          {t("chart.empty")}
        </Text>
      )}
      <div ref={box} className="line-chart" aria-hidden />
    </div>
  );
}

interface Looks {
  readonly width: number;
  readonly scheme: "light" | "dark";
  /** What the axis of time is called. */
  readonly time: string;
  readonly formats: Formats;
  readonly zone: string;
}

function optionsOf(labels: readonly string[], { width, scheme, time, formats, zone }: Looks): UPlot.Options {
  const ink = scheme === "dark" ? "#c9c9c9" : "#343a40";
  const grid = scheme === "dark" ? "#424242" : "#dee2e6";
  const colors = scheme === "dark" ? COLORS_DARK : COLORS;
  const axis: UPlot.Axis = { stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 } };
  return {
    width,
    height: HEIGHT,
    series: [
      { label: time, value: (_, seconds) => (seconds === null ? "" : formats.dateTime(seconds * 1_000)) },
      ...labels.map(
        (label, index): UPlot.Series => ({
          label,
          stroke: colors[index % colors.length] ?? ink,
          width: 2,
          spanGaps: false,
          points: { show: (plot) => (plot.data[0]?.length ?? 0) < FEW },
        }),
      ),
    ],
    axes: [
      { ...axis, values: (_, seconds, __, ___, step) => seconds.map((second) => formats.tick(second * 1_000, step)) },
      { ...axis, size: wideEnough, values: (_, values) => values.map((value) => formats.number(value, 6)) },
    ],
    tzDate: (seconds) => UPlot.tzDate(new Date(seconds * 1_000), zone),
    // One point alone would have an axis of years.
    scales: { x: { range: (_, from, to) => (to - from < LEAST_S ? [to - LEAST_S, to] : [from, to]) } },
    legend: { show: labels.length > 1 },
    cursor: { drag: { x: true, y: false } },
  };
}

/** So that no figure beside the axis is cut. */
const wideEnough: UPlot.Axis.Size = (_, figures) => Math.max(50, 20 + 7 * Math.max(0, ...(figures ?? []).map(({ length }) => length)));

/** For whoever watches: nothing is kept of it. */
function measured(began: number): void {
  performance.measure("line-chart", { start: began });
  performance.clearMeasures("line-chart");
}

function zooming(onZoom: (from: number, to: number) => void): Partial<UPlot.Options> {
  return {
    cursor: { drag: { x: true, y: false, setScale: false } },
    hooks: {
      setSelect: [
        (plot) => {
          const { left, width } = plot.select;
          if (width === 0) return;
          const [from, to] = [plot.posToVal(left, "x"), plot.posToVal(left + width, "x")];
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          onZoom(Math.floor(from * 1_000), Math.ceil(to * 1_000));
        },
      ],
    },
  };
}

/** uPlot's columns: seconds, and a value or a gap of each series for each of them. */
function aligned(lines: readonly Line[]): UPlot.AlignedData {
  if (lines.length === 1) {
    const points = lines[0]?.points ?? [];
    return [points.map(([ms]) => ms / 1_000), points.map(([, value]) => value)];
  }
  return UPlot.join(lines.map(({ points }) => [points.map(([ms]) => ms / 1_000), points.map(([, value]) => value)]));
}
