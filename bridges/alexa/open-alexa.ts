import { AlexaError, type AlexaDoor } from "../../core/alexa.ts";
import type { SmartHomeContext } from "../open-bridges.ts";
import { createDirectives } from "./directives.ts";
import { Houses } from "./houses.ts";

export interface OpenAlexa extends AsyncDisposable {
  readonly door: AlexaDoor;
}

/** Alexa's directives, over REST. */
export function openAlexa(context: SmartHomeContext): OpenAlexa {
  const stack = new AsyncDisposableStack();
  const houses = stack.use(new Houses(context.homes));
  const door = createDirectives({
    ...context,
    houses,
    acceptGrant: async () => {
      throw new AlexaError("ACCEPT_GRANT_FAILED", "the hub has no client id and secret of the skill");
    },
  });
  return { door, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}
