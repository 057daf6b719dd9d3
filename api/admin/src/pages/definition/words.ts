import { useTranslation } from "react-i18next";
import { type Command, commandWords, targetWords } from "./command-fields.tsx";
import { useDeviceName } from "./devices.tsx";
import { type Field, KINDS, type Node, outputOf, type Role } from "./nodes.ts";
import { dailyOf, type Recurrence, weekdayName } from "./recurrence.ts";

/** What a trigger, a condition or an action is, in a line. */
export function useNodeWords(): (role: Role, node: Node) => string {
  const { t } = useTranslation("definition");
  const nameOf = useDeviceName();
  const recurrenceWords = useRecurrenceWords();
  const words = (field: Field, node: Node): string => {
    switch (field.as) {
      case "device":
        return typeof node["device"] === "string" ? nameOf(node["device"]) : "";
      case "sensor":
        return String(node["key"]);
      case "output":
        return targetWords(t, outputOf(node));
      case "command":
        return commandWords(t, node["command"] as Command);
      case "recurrence":
        return recurrenceWords(node["recurrence"] as Recurrence);
      case "scene":
      case "days":
        return "";
      case "choice":
        return node[field.name] === undefined ? "" : t(`choice.${String(node[field.name])}`);
      default:
        return node[field.name] === undefined ? "" : `${t(`short.${field.name}`)} ${String(node[field.name])}`.trim();
    }
  };
  return (role, node) => {
    const known = KINDS[role][node.kind];
    if (!known) return node.kind;
    const parts = known.fields.map((field) => words(field, node)).filter((part) => part !== "");
    return [t(`${role}.${node.kind}`), ...parts].join(" · ");
  };
}

export function useRecurrenceWords(): (recurrence: Recurrence) => string {
  const { t, i18n } = useTranslation("definition");
  return (recurrence) => {
    const daily = dailyOf(recurrence);
    if (daily) return [daily.time, ...daily.days.map((day) => weekdayName(i18n.language, day))].join(" ");
    switch (recurrence.kind) {
      case "cron":
        return recurrence.expression;
      case "once":
        return recurrence.at.replace("T", " ");
      case "interval":
        return t("every_minutes", { minutes: Math.round((recurrence.every_s / 60) * 100) / 100 });
      case "sun":
        return [t(`sun.${recurrence.event}`), recurrence.offset_s ? t("later_minutes", { minutes: recurrence.offset_s / 60 }) : ""]
          .join(" ")
          .trim();
    }
  };
}
