import type { Notification } from "../../core/notification.ts";
import { paragraphs, timeOf } from "./text.ts";

/** One notification, or a digest of several and of `more` that it only counts. */
export function notificationWords(
  notifications: readonly Notification[],
  { baseUrl, more }: { readonly baseUrl: string; readonly more: number },
): { readonly subject: string; readonly text: string } | undefined {
  const [first] = notifications;
  if (first === undefined) return undefined;
  const isOne = notifications.length === 1 && more === 0;
  const count = notifications.length + more;
  return {
    subject: isOne ? `[${first.severity}] ${first.title}` : `${count} notifications, the gravest ${first.severity}: ${first.title}`,
    text: paragraphs(
      isOne ? `The Hexahub ${baseUrl} has a notification for you.` : `The Hexahub ${baseUrl} has ${count} notifications for you.`,
      ...notifications.map(paragraphOf),
      ...(more > 0 ? [`And ${more} more.`] : []),
      "Which notifications come by e-mail, and when not, is part of your preferences.",
    ),
  };
}

function paragraphOf({ severity, title, body, count, updatedAt }: Notification): string {
  const head = `[${severity}] ${title}`;
  const when = `${timeOf(new Date(updatedAt))}${count > 1 ? `, ${count} times` : ""}`;
  return [head, ...(body === "" ? [] : [body]), when].join("\n");
}
