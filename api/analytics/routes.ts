import type { Route } from "../route.ts";
import { health } from "./health.ts";
import * as insights from "./insights.ts";
import * as metrics from "./metrics.ts";
import * as summaries from "./summaries.ts";
import { usage } from "./usage.ts";

export const ANALYTICS_ROUTES: readonly Route[] = [
  summaries.commands,
  summaries.tasks,
  summaries.devices,
  health,
  usage,
  insights.list,
  insights.dismiss,
  metrics.types,
  metrics.series,
];
