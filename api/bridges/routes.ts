import { alexa } from "../alexa/alexa.ts";
import * as exposure from "../devices/exposure.ts";
import * as oauthClients from "../oauth/clients.ts";
import type { Route } from "../route.ts";
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
  oauthClients.create,
  oauthClients.list,
  oauthClients.remove,
];
