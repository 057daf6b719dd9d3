import { isIP, Socket } from "node:net";
import MailComposer from "nodemailer/lib/mail-composer";
import SMTPConnection from "nodemailer/lib/smtp-connection";
import type { Letter } from "./letter.ts";
import { type Deliver, MailRefused } from "./mailer.ts";

export interface SmtpSettings {
  /** `smtp://user:password@host:587`, or `smtps://` for TLS from the start. */
  readonly url: string;
  /** `hub@example.org` or `Hexahub <hub@example.org>`. */
  readonly from: string;
  /** How long a connection and its greeting may take. */
  readonly connectMs?: number;
  /** How long the server may say nothing. */
  readonly silenceMs?: number;
}

const CONNECT_MS = 10_000;
const SILENCE_MS = 20_000;
/** For the good-bye, of which nothing depends any more. */
const QUIT_MS = 2_000;
/** The server wants to know first who is asking: nothing is wrong with the mail. */
const ABOUT_LOGIN = new Set([530, 534, 535, 538]);

/** Each letter has a connection of its own, which ends whatever the server does. */
export function createSmtp(settings: SmtpSettings): Deliver {
  const { from } = settings;
  const server = serverOf(settings);
  const sender = from.match(/<([^<>]+)>$/)?.[1] ?? from;
  return async (letter, signal) => {
    const message = await compose(letter, from, sender);
    // Ours, so that it can be torn down in every state.
    const socket = new Socket();
    const connection = new SMTPConnection({ ...server.options, socket });
    const broken = Promise.withResolvers<never>();
    broken.promise.catch(() => undefined);
    connection.on("error", broken.reject);
    connection.once("end", () => broken.reject(new Error("the mail server closed the connection")));
    const abort = (): void => broken.reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    const step = (act: (done: (error?: Error | null) => void) => void): Promise<void> =>
      Promise.race([broken.promise, new Promise<void>((resolve, reject) => act((error) => (error ? reject(error) : resolve())))]);
    let isSent = false;
    try {
      signal.throwIfAborted();
      await step((done) => connection.connect(done));
      const { credentials } = server;
      if (credentials) await step((done) => connection.login({ credentials }, done));
      await step((done) => connection.send({ from: sender, to: [letter.to] }, message, done));
      isSent = true;
    } catch (error) {
      if (isForGood(error)) throw new MailRefused("the mail server refused the mail", { cause: error });
      throw error;
    } finally {
      signal.removeEventListener("abort", abort);
      if (isSent) quit(connection, socket);
      else {
        connection.close();
        socket.destroy();
      }
    }
  };
}

function serverOf({ url: text, connectMs = CONNECT_MS, silenceMs = SILENCE_MS }: SmtpSettings) {
  const url = new URL(text);
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const secure = url.protocol === "smtps:";
  const credentials = url.username === "" ? undefined : { user: decodeURIComponent(url.username), pass: decodeURIComponent(url.password) };
  return {
    credentials,
    options: {
      host,
      port: url.port === "" ? (secure ? 465 : 587) : Number(url.port),
      secure,
      // A password never goes over the network readable, whatever the server, or somebody in between, says it can do.
      requireTLS: credentials !== undefined && !secure && !isLoopback(host),
      connectionTimeout: connectMs,
      greetingTimeout: connectMs,
      dnsTimeout: connectMs,
      socketTimeout: silenceMs,
    },
  };
}

const isLoopback = (host: string): boolean => host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));

async function compose({ id, to, subject, text, writtenAt }: Letter, from: string, sender: string): Promise<Buffer> {
  const composer = new MailComposer({
    from,
    // An object: nothing in the address is taken for a second one.
    to: { name: "", address: to },
    subject,
    text,
    date: writtenAt,
    messageId: `<${id}@${sender.slice(sender.lastIndexOf("@") + 1)}>`,
    // RFC 3834: nobody's absence is to be answered to it.
    headers: { "Auto-Submitted": "auto-generated" },
    newline: "win",
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  return await composer.compile().build();
}

/** A mail that the server has looked at and will not have. */
function isForGood(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { code, responseCode } = error as Error & { code?: unknown; responseCode?: unknown };
  if (code !== "EENVELOPE" && code !== "EMESSAGE") return false;
  // Without an answer it was not even asked: the address or the size is impossible.
  return typeof responseCode !== "number" || (responseCode >= 500 && !ABOUT_LOGIN.has(responseCode));
}

function quit(connection: SMTPConnection, socket: Socket): void {
  const late = setTimeout(() => socket.destroy(), QUIT_MS).unref();
  socket.once("close", () => clearTimeout(late));
  connection.removeAllListeners("error");
  connection.on("error", () => undefined);
  connection.quit();
}
