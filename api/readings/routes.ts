import type { Route } from "../route.ts";
import { chart } from "./chart.ts";
import { exportReadings } from "./export.ts";
import * as imports from "./import.ts";
import { latest } from "./latest.ts";
import { readings } from "./readings.ts";

export const READING_ROUTES: readonly Route[] = [
  readings,
  chart,
  latest,
  exportReadings,
  imports.importReadings,
  imports.list,
  imports.show,
];
