import { ApiError, take } from "./client.ts";

type Asked<T> = Promise<{ data?: T; error?: unknown; response: Response }>;

export interface Tagged<T> {
  readonly data: T;
  /** For If-Match: the change is refused when somebody changed it since. */
  readonly tag: string;
}

export async function takeTagged<T>(asked: Asked<T>): Promise<Tagged<T>> {
  const data = await take(asked);
  const { response } = await asked;
  return { data, tag: response.headers.get("etag") ?? "" };
}

/** The tag of what was shown in a list, which has none; throws `precondition_failed` when it is of another version by now. */
export async function tagOf(
  shown: { readonly version: number },
  asked: Asked<{ readonly version: number }>,
  message: string,
): Promise<string> {
  const { data, tag } = await takeTagged(asked);
  if (data.version !== shown.version) throw new ApiError(message, { status: 412, code: "precondition_failed" });
  return tag;
}

/** The header of such a change. */
export const ifMatch = (tag: string): { "if-match": string } => ({ "if-match": tag });
