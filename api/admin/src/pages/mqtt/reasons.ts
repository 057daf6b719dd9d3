import { useTranslation } from "react-i18next";
import { MqttError, type MqttReason } from "../../hub/mqtt-connection.ts";

/** In the person's language, with the code that a log or a manual has. */
export function useReasonWords(): (reason: MqttReason) => string {
  const { t } = useTranslation("mqtt");
  return (reason) => {
    const words = t([`reasons.${reason}`, "reasons.other"]);
    return typeof reason === "number" ? `${words} (0x${reason.toString(16)})` : words;
  };
}

/** For what shows errors: the words, and what the hub says beside its code. */
export function worded(error: unknown, words: (reason: MqttReason) => string): unknown {
  if (!(error instanceof MqttError)) return error;
  return new Error([words(error.reason), error.told].filter((text) => text !== "").join(": "), { cause: error });
}
