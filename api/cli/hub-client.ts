import { readFileSync } from "node:fs";
import { join } from "node:path";
import Type, { type Static } from "typebox";
import type { Config } from "../../core/config.ts";
import { HubError } from "../../core/errors.ts";
import { parserFor } from "../../core/validate.ts";
import { CliError, EXIT, type ExitCode } from "./exit.ts";

/** What a running hub writes into `<data dir>/operator.json` (mode 0600) for the command line on its own machine. */
export const OperatorFile = Type.Object(
  { url: Type.String(), token: Type.String({ minLength: 1 }), pid: Type.Integer({ minimum: 1 }) },
  { title: "OperatorFile" },
);
export type OperatorFile = Static<typeof OperatorFile>;
const parseOperatorFile = parserFor(OperatorFile);

/** An answer that is an error, as the hub's envelope tells it. */
export class ApiFailure extends CliError {
  readonly status: number;
  readonly details: unknown;
  readonly requestId: string | null;

  constructor(status: number, envelope: { code: string; message: string; details: unknown; requestId: string | null }) {
    super(exitCodeOf(status), envelope.code, envelope.message);
    this.status = status;
    this.details = envelope.details;
    this.requestId = envelope.requestId;
  }
}

export interface HubClient {
  readonly url: string;
  /** The parsed JSON answer, undefined for an empty one. Throws {@link ApiFailure}, or {@link CliError} when no hub answers. */
  request(method: "GET" | "POST" | "DELETE", path: string, options?: { body?: unknown; timeoutMs?: number }): Promise<unknown>;
}

export interface Target {
  readonly url?: string | undefined;
  /** Already read; a token is never an argument. */
  readonly token?: string | undefined;
}

const DEFAULT_TIMEOUT_MS = 15_000;

/** The hub that `target` or the settings name, else the one that runs on the data folder. */
export function connectHub(config: Config, target: Target): HubClient {
  const { url, token } = locateHub(config, target);
  return { url, request: (method, path, options = {}) => send({ url, token }, { method, path, ...options }) };
}

/** `operator.json` of the data folder; undefined when no hub has written one. */
export function findOperatorFile(dataDir: string): OperatorFile | undefined {
  const path = join(dataDir, "operator.json");
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw new CliError(EXIT.notAllowed, "unreadable", `${path} cannot be read (${code})`, {
      mend: "run as the hub's user, or set HEXA_URL and HEXA_TOKEN",
      cause: error,
    });
  }
  try {
    return parseOperatorFile(JSON.parse(text));
  } catch (error) {
    if (!(error instanceof HubError) && !(error instanceof SyntaxError)) throw error;
    throw new CliError(EXIT.failed, "bad_operator_file", `${path} is not what a hub writes`, {
      mend: "restart the hub, which writes it again",
      cause: error,
    });
  }
}

function locateHub(config: Config, target: Target): { url: string; token: string } {
  const url = target.url ?? config.url;
  const token = target.token ?? config.token;
  if (url !== undefined && token !== undefined) return { url: baseOf(url), token };
  const operator = findOperatorFile(config.dataDir);
  if (url === undefined) {
    if (operator) return { url: baseOf(operator.url), token: token ?? operator.token };
    throw new CliError(EXIT.unavailable, "no_hub", `no hub runs on the data folder ${config.dataDir}`, {
      mend: "start one with `npx hexahub serve`, or name one with --url and HEXA_TOKEN",
    });
  }
  // The operator's token opens everything: it only goes to the hub that wrote it.
  if (operator && baseOf(operator.url) === baseOf(url)) return { url: baseOf(url), token: operator.token };
  throw new CliError(EXIT.notAllowed, "no_token", `there is no token for ${url}`, {
    mend: "set HEXA_TOKEN or give --token-file (- reads standard input)",
  });
}

function baseOf(url: string): string {
  const parsed = URL.parse(url);
  if (!parsed || !/^https?:$/.test(parsed.protocol))
    throw new CliError(EXIT.usage, "bad_url", `${JSON.stringify(url)} is not an http or https URL`);
  return parsed.origin;
}

async function send(
  hub: { url: string; token: string },
  request: { method: string; path: string; body?: unknown; timeoutMs?: number },
): Promise<unknown> {
  let response: Response;
  let text: string;
  try {
    response = await fetch(hub.url + request.path, {
      method: request.method,
      headers: {
        authorization: `Bearer ${hub.token}`,
        accept: "application/json",
        ...(request.body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
      // A redirect would carry the token to a place that nobody named.
      redirect: "error",
      signal: AbortSignal.timeout(request.timeoutMs ?? DEFAULT_TIMEOUT_MS),
    });
    text = await response.text();
  } catch (error) {
    throw new CliError(EXIT.unavailable, "unreachable", `the hub at ${hub.url} does not answer (${reasonOf(error)})`, {
      mend: "is it running? `npx hexahub doctor` tells more",
      cause: error,
    });
  }
  const answer = text === "" ? undefined : parseAnswer(text, hub.url, response.status);
  if (response.ok) return answer;
  throw new ApiFailure(response.status, envelopeOf(answer, response.status));
}

function parseAnswer(text: string, url: string, status: number): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new CliError(EXIT.unavailable, "not_a_hub", `what answers at ${url} is no hub (status ${status}, not JSON)`, { cause: error });
  }
}

function envelopeOf(answer: unknown, status: number): { code: string; message: string; details: unknown; requestId: string | null } {
  const { code, message, details, request_id } = typeof answer === "object" && answer !== null ? (answer as Record<string, unknown>) : {};
  return {
    code: typeof code === "string" ? code : `http_${status}`,
    message: typeof message === "string" ? message : `the hub answered with status ${status}`,
    details: details ?? null,
    requestId: typeof request_id === "string" ? request_id : null,
  };
}

function exitCodeOf(status: number): ExitCode {
  if (status === 401 || status === 403) return EXIT.notAllowed;
  if (status === 404) return EXIT.notFound;
  if (status === 503) return EXIT.unavailable;
  return EXIT.failed;
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "TimeoutError") return "no answer in time";
  const { cause } = error;
  if (cause instanceof Error) return (cause as NodeJS.ErrnoException).code ?? cause.message;
  return error.message;
}
