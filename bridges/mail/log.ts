import type { Log } from "../../core/bus.ts";
import type { Deliver } from "./mailer.ts";

/** For developing without a mail server: whoever reads the log is the reader of every mail. */
export function createLogDelivery(log: Log): Deliver {
  return async ({ id, to, subject, link }) =>
    log.warn({ mail: id, to, subject, link }, "a mail that is not sent, since HEXA_SMTP_URL is not set");
}
