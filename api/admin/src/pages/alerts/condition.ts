import type { TFunction } from "i18next";
import type { components } from "../../hub/schema.d.ts";

type Condition = components["schemas"]["AlertCondition"];

/** "temperature above 30" */
export function inWords(t: TFunction<"alerts">, condition: Condition): string {
  switch (condition.kind) {
    case "threshold": {
      const { key, above, below } = condition;
      if (above !== undefined && below !== undefined) return t("words.between", { key, above, below });
      return above === undefined ? t("words.below", { key, below }) : t("words.above", { key, above });
    }
    case "absence":
      return condition.key === undefined ? t("words.silence") : t("words.absence", { key: condition.key });
    case "rate":
      return t("words.rate", { key: condition.key, more: condition.more_than, per: t(`per.${condition.per}`) });
    case "device_offline":
      return t("words.offline");
    case "event":
      return t("words.event", { type: condition.type });
  }
}
