import { once } from "node:events";
import type { AddressInfo, Socket } from "node:net";
import { SMTPServer, type SMTPServerOptions } from "smtp-server";
import { until } from "./wait.ts";

export interface ReceivedMail {
  readonly from: string;
  readonly to: readonly string[];
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  readonly text: string;
  readonly raw: string;
  /** Who logged in before it. */
  readonly user: string | undefined;
  readonly isEncrypted: boolean;
}

/** What the server does with the next mails, until it is told otherwise. */
export type SmtpBehaviour =
  | { readonly kind: "accepts" }
  /** Answers with this code at that step. */
  | { readonly kind: "answers"; readonly at: "greeting" | "mail" | "rcpt" | "data"; readonly code: number }
  /** Takes the connection and says nothing there, ever. */
  | { readonly kind: "hangs"; readonly at: "greeting" | "data" }
  /** Ends the connection in the middle of a mail. */
  | { readonly kind: "closes" };

export interface SmtpServer extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly mails: readonly ReceivedMail[];
  /** Connections until now. */
  readonly connections: number;
  behave(behaviour: SmtpBehaviour): void;
  /** The `count`-th mail to this address, counted from 1, when it is there. */
  mailTo(address: string, count?: number): Promise<ReceivedMail>;
}

export interface SmtpServerOptions {
  readonly port?: number;
  /** Mails are taken from this account alone. */
  readonly account?: { readonly user: string; readonly password: string };
  /** Speaks TLS from the start. */
  readonly tls?: { readonly key: string; readonly cert: string };
}

/** A mail server on 127.0.0.1 that can be made a bad one. */
export async function startSmtpServer({ port = 0, account, tls }: SmtpServerOptions = {}): Promise<SmtpServer> {
  const mails: ReceivedMail[] = [];
  const sockets = new Set<Socket>();
  let behaviour: SmtpBehaviour = { kind: "accepts" };
  let connections = 0;
  const act = (at: "greeting" | "mail" | "rcpt" | "data", callback: (error?: Error | null) => void): void => {
    if (behaviour.kind === "hangs" && behaviour.at === at) return;
    if (behaviour.kind === "closes" && at === "data") for (const socket of sockets) socket.destroy();
    else if (behaviour.kind === "answers" && behaviour.at === at)
      callback(Object.assign(new Error("as the test wants it"), { responseCode: behaviour.code }));
    else callback();
  };
  const options: SMTPServerOptions = {
    ...(tls ? { secure: true, ...tls } : { disabledCommands: account ? ["STARTTLS"] : ["STARTTLS", "AUTH"] }),
    authOptional: account === undefined,
    allowInsecureAuth: true,
    logger: false,
    closeTimeout: 100,
    onConnect: (_session, callback) => act("greeting", callback),
    onAuth: ({ username, password }, _session, callback) =>
      username === account?.user && password === account?.password
        ? callback(null, { user: username })
        : callback(Object.assign(new Error("wrong password"), { responseCode: 535 })),
    onMailFrom: (_address, _session, callback) => act("mail", callback),
    onRcptTo: (_address, _session, callback) => act("rcpt", callback),
    onData(stream, session, callback) {
      let raw = "";
      stream.setEncoding("utf8").on("data", (chunk: string) => {
        raw += chunk;
      });
      stream.once("end", () =>
        act("data", (error) => {
          const { mailFrom, rcptTo } = session.envelope;
          const isEncrypted = session.secure;
          const from = mailFrom === false ? "" : mailFrom.address;
          if (!error) mails.push({ ...parsed(raw), from, to: rcptTo.map(({ address }) => address), user: session.user, isEncrypted });
          callback(error);
        }),
      );
    },
  };
  const server = new SMTPServer(options);
  // Clients that are gone in the middle are what it is here for.
  server.on("error", () => undefined);
  server.server.on("connection", (socket: Socket) => {
    connections++;
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  server.listen(port, "127.0.0.1");
  await once(server.server, "listening");
  const bound = (server.server.address() as AddressInfo).port;
  return {
    url: `${tls ? "smtps" : "smtp"}://${account ? `${account.user}:${encodeURIComponent(account.password)}@` : ""}127.0.0.1:${bound}`,
    port: bound,
    mails,
    get connections() {
      return connections;
    },
    behave(next) {
      behaviour = next;
    },
    mailTo: (address, count = 1) =>
      until(() => mails.filter(({ to }) => to.includes(address))[count - 1], { what: `mail ${count} to ${address}`, timeoutMs: 60_000 }),
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** The token that the mail carries for programs. */
export function tokenIn({ text: words }: Pick<ReceivedMail, "text">): string {
  const token = /^hxv_[\w-]{43}$/m.exec(words)?.[0];
  if (token === undefined) throw new Error(`the mail carries no token: ${words}`);
  return token;
}

function parsed(raw: string): Pick<ReceivedMail, "headers" | "text" | "raw"> {
  const end = raw.indexOf("\r\n\r\n");
  const lines = raw
    .slice(0, end)
    .replace(/\r\n[ \t]+/g, " ")
    .split("\r\n");
  const headers = new Map(lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim()]));
  const body = raw.slice(end + 4).replaceAll("\r\n", "\n");
  const isQuoted = headers.get("content-transfer-encoding") === "quoted-printable";
  return { headers, raw, text: isQuoted ? unquoted(body) : body };
}

function unquoted(body: string): string {
  const bytes = body.replaceAll("=\n", "").replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, "latin1").toString("utf8");
}
