import { useNavigate } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import type { components } from "../../hub/schema.d.ts";
import { BOX, type Box, layOut } from "./chain-layout.ts";
import { subjectOf } from "./subject.ts";

type EventNode = components["schemas"]["EventNode"];
const PAD = 4;
/** What fits a box, about. */
const MOST_LETTERS = 28;

/** The list beside it says the same, and its links take the keyboard: here a click goes where they go. */
export function ChainGraph({ roots, currentId }: { readonly roots: readonly EventNode[]; readonly currentId: string }) {
  const { t } = useTranslation("events");
  const { boxes, width, height } = layOut(roots);
  return (
    <div style={{ overflow: "auto", maxHeight: 480 }} tabIndex={0} role="region" aria-label={t("graph")}>
      <svg
        width={width + 2 * PAD}
        height={height + 2 * PAD}
        viewBox={`${-PAD} ${-PAD} ${width + 2 * PAD} ${height + 2 * PAD}`}
        role="img"
        aria-label={t("graph_of", { count: boxes.length })}
      >
        {boxes.map(
          ({ event, x, y, cause }) => cause && <path key={event.id} d={lineOf(cause, { x, y })} fill="none" stroke="currentColor" />,
        )}
        {boxes.map((box) => (
          <EventBox key={box.event.id} box={box} isCurrent={box.event.id === currentId} />
        ))}
      </svg>
    </div>
  );
}

function EventBox({ box: { event, x, y }, isCurrent }: { readonly box: Box; readonly isCurrent: boolean }) {
  const formats = useFormats();
  const navigate = useNavigate();
  return (
    <g
      transform={`translate(${x} ${y})`}
      style={{ cursor: isCurrent ? "default" : "pointer" }}
      onClick={() => void navigate({ to: "/events/$id", params: { id: event.id } })}
    >
      <rect
        width={BOX.width}
        height={BOX.height}
        rx={8}
        fill="var(--mantine-color-body)"
        stroke={isCurrent ? "var(--mantine-primary-color-filled)" : "currentColor"}
        strokeWidth={isCurrent ? 3 : 1}
      />
      <text x={10} y={21} fontSize={13} fontWeight={600} fill="currentColor">
        {shortened(event.type)}
      </text>
      <text x={10} y={40} fontSize={11} fill="currentColor">
        {shortened(`${formats.time(event.timestamp)} ${subjectOf(event)}`)}
      </text>
    </g>
  );
}

const shortened = (text: string): string => (text.length > MOST_LETTERS ? `${text.slice(0, MOST_LETTERS - 1)}…` : text);

function lineOf(cause: { readonly x: number; readonly y: number }, { x, y }: { readonly x: number; readonly y: number }): string {
  const from = { x: cause.x + BOX.width, y: cause.y + BOX.height / 2 };
  const to = y + BOX.height / 2;
  const middle = (from.x + x) / 2;
  return `M${from.x} ${from.y}C${middle} ${from.y} ${middle} ${to} ${x} ${to}`;
}
