/** `in`, `out`: somebody logged in or out. `moved`: the login acts in another organisation. `changed`: something that others may show is another one now. */
export type News = "in" | "out" | "moved" | "changed";

/** What one tab does, the others of this browser know. */
const channel = "BroadcastChannel" in globalThis ? new BroadcastChannel("hexahub") : undefined;

export const tellTabs = (news: News): void => channel?.postMessage(news);

export const onNews = (listener: (news: News) => void): void =>
  channel?.addEventListener("message", ({ data }: MessageEvent<News>) => listener(data));
