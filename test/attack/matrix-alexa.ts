import { newId } from "../../core/id.ts";
import type { Row } from "./matrix-row.ts";

/** Whoever asks says so in the directive: without a token there is nobody. */
export const ALEXA_ROWS: Readonly<Record<string, Row>> = {
  "POST /api/v1/alexa": {
    body: () => ({
      directive: { header: { namespace: "Alexa.Discovery", name: "Discover", messageId: newId(), payloadVersion: "3" }, payload: {} },
    }),
  },
};
