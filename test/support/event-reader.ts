import { until } from "./wait.ts";

export interface ReceivedEvent {
  readonly id: string | undefined;
  readonly type: string;
  readonly data: Record<string, unknown>;
}

/** A real reader of server-sent events. */
export interface EventReader extends AsyncDisposable {
  readonly status: number;
  readonly headers: Headers;
  readonly events: readonly ReceivedEvent[];
  /** Comments until now. */
  readonly comments: number;
  /** How it ended: "ended" by the hub, "broken" in between. */
  readonly end: "ended" | "broken" | undefined;
  /** The titles of the notifications, when there are so many. */
  titles(count: number): Promise<string[]>;
}

export async function readEvents(url: string, headers: Record<string, string> = {}): Promise<EventReader> {
  const closing = new AbortController();
  const response = await fetch(url, { headers: { accept: "text/event-stream", ...headers }, signal: closing.signal });
  const events: ReceivedEvent[] = [];
  const state: { comments: number; end: EventReader["end"] } = { comments: 0, end: undefined };
  const reading = (async () => {
    let text = "";
    const decoder = new TextDecoder();
    for await (const chunk of response.body ?? []) {
      text += decoder.decode(chunk, { stream: true });
      const blocks = text.split("\n\n");
      text = blocks.pop() ?? "";
      for (const block of blocks) {
        if (block.startsWith(":")) state.comments++;
        else events.push(eventOf(block));
      }
    }
    state.end = "ended";
  })().catch(() => {
    state.end = "broken";
  });
  const titles = (): string[] => events.filter(({ type }) => type === "notification").map(({ data }) => String(data["title"]));
  return {
    status: response.status,
    headers: response.headers,
    events,
    get comments() {
      return state.comments;
    },
    get end() {
      return state.end;
    },
    titles: (count) => until(() => titles().length >= count && titles(), { what: `${count} notifications`, timeoutMs: 20_000 }),
    async [Symbol.asyncDispose]() {
      closing.abort();
      await reading;
    },
  };
}

function eventOf(block: string): ReceivedEvent {
  const fields = new Map(block.split("\n").map((line) => [line.slice(0, line.indexOf(": ")), line.slice(line.indexOf(": ") + 2)]));
  return {
    id: fields.get("id"),
    type: fields.get("event") ?? "message",
    data: JSON.parse(fields.get("data") ?? "{}") as Record<string, unknown>,
  };
}
