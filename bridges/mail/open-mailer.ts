import type { Settings } from "../../core/settings.ts";
import type { Deliver, HubMailer, MailerContext } from "./mailer.ts";

/** Of a hub that sends none. */
const NO_MAILER: HubMailer = { isOn: false, wake() {}, begin() {}, async [Symbol.asyncDispose]() {} };

/** Whoever sends the mails, as the settings say. A hub that sends none does not load what it takes. */
export async function openMailer(
  settings: Pick<Settings, "smtpUrl" | "mailFrom" | "nodeEnv">,
  context: Omit<MailerContext, "deliver">,
): Promise<HubMailer> {
  const deliver = await deliveryOf(settings, context);
  return deliver ? (await import("./mailer.ts")).createMailer({ ...context, deliver }) : NO_MAILER;
}

async function deliveryOf(
  { smtpUrl: url, mailFrom: from, nodeEnv }: Parameters<typeof openMailer>[0],
  { log }: Pick<MailerContext, "log">,
): Promise<Deliver | undefined> {
  if (url !== undefined && from !== undefined) return (await import("./smtp.ts")).createSmtp({ url, from });
  return nodeEnv === "production" ? undefined : (await import("./log.ts")).createLogDelivery(log);
}
