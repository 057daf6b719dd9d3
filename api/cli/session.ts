import { readFileSync } from "node:fs";
import type { Command } from "commander";
import type { Config } from "../../core/config.ts";
import { CliError, EXIT } from "./exit.ts";
import { connectHub, type HubClient } from "./hub-client.ts";
import { readInput, type Terminal, writeNote, writeResult } from "./terminal.ts";

/** What every command works with. Settings are read and the hub is looked for when a command asks, not before. */
export interface Session {
  readonly terminal: Terminal;
  json(): boolean;
  config(): Config;
  hub(): Promise<HubClient>;
  /** The whole answer as JSON, or the text for people. */
  print(data: unknown, text: () => string): void;
  /** For people only, on stderr. */
  note(text: string): void;
}

export function createSession(source: { terminal: Terminal; readConfig: () => Config }, program: Command): Session {
  const { terminal } = source;
  const options = () => program.opts<{ json: boolean; url?: string; tokenFile?: string }>();
  const json = () => options().json;
  return {
    terminal,
    json,
    config: source.readConfig,
    async hub() {
      const { url, tokenFile } = options();
      return connectHub(source.readConfig(), { url, token: await tokenFrom(tokenFile, terminal) });
    },
    print: (data, text) => writeResult(terminal, json(), { data, text }),
    note: (text) => {
      if (!json()) writeNote(terminal, text);
    },
  };
}

async function tokenFrom(path: string | undefined, terminal: Terminal): Promise<string | undefined> {
  if (path === undefined) return undefined;
  const token = path === "-" ? await readInput(terminal) : readTokenFile(path);
  if (token.trim() === "") throw new CliError(EXIT.usage, "no_token", `${path === "-" ? "standard input" : path} holds no token`);
  return token.trim();
}

function readTokenFile(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new CliError(EXIT.usage, "no_token", `the token file cannot be read: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}
