import * as exposure from "../devices/exposure.ts";
import type { Route } from "../route.ts";
import { alexa } from "./alexa.ts";
import * as bridges from "./bridges.ts";
import * as homeAssistant from "./home-assistant.ts";
import { pairings } from "./homekit.ts";

export const BRIDGE_ROUTES: readonly Route[] = [
  bridges.list,
  homeAssistant.createAccount,
  homeAssistant.updateAccount,
  pairings,
  bridges.show,
  bridges.resend,
  bridges.unlink,
  alexa,
  exposure.show,
  exposure.update,
];
