import { DOWN_PAYLOADS } from "../../core/payloads.ts";
import { createTopics, type Topics } from "../../core/topics.ts";
import { parserFor } from "../../core/validate.ts";

const topicsByRoot = new Map<string, Topics>();
export function topicsOf(root = "hexa"): Topics {
  const topics = topicsByRoot.get(root) ?? createTopics(root);
  topicsByRoot.set(root, topics);
  return topics;
}

/** What the hub says, by the last level of its topic. */
export const parseDown = {
  command: parserFor(DOWN_PAYLOADS.command),
  registered: parserFor(DOWN_PAYLOADS.registered),
  error: parserFor(DOWN_PAYLOADS.error),
  config: parserFor(DOWN_PAYLOADS.config),
};
