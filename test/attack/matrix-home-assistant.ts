import type { Row } from "./matrix-row.ts";

const ACCOUNT = "/api/v1/bridges/home_assistant/account";

/** Of the routes about Home Assistant's account, which each organisation has one of: it is made before it is changed. */
export const HOME_ASSISTANT_ROWS: Readonly<Record<string, Row>> = {
  [`POST ${ACCOUNT}`]: { body: () => ({}) },
  [`PATCH ${ACCOUNT}`]: { body: () => ({ form: "device" }) },
};
