import { Command, CommanderError } from "commander";
import { ConfigError } from "../../core/config.ts";
import { SetupError } from "../../core/errors.ts";
import type { CliActions } from "./actions.ts";
import { addAuditCommands } from "./audit-commands.ts";
import { addDemoCommands } from "./demo-commands.ts";
import { addDeviceCommands } from "./device-commands.ts";
import { addDoctorCommand } from "./doctor.ts";
import { addEncryptionCommands } from "./encryption-commands.ts";
import { CliError, EXIT, type ExitCode } from "./exit.ts";
import { ApiFailure } from "./hub-client.ts";
import { addKeyCommands } from "./key-commands.ts";
import { addLocalCommands } from "./local-commands.ts";
import { createSession } from "./session.ts";
import type { Terminal } from "./terminal.ts";
import { addTokenCommands } from "./token-commands.ts";

const EXAMPLES = `
Examples:
  hexahub serve                              start the hub
  hexahub demo start                         a home of virtual devices to play with
  hexahub device add "Hall relay"            enrol a device and get its credentials
  hexahub device cmd relay-7kq2mzd94x relay 0 on
  hexahub audit verify                       whether the record of who did what is as it was written
  hexahub doctor                             what is wrong, and how to mend it

Exit codes: 0 ok, 1 failed, 2 usage, 3 configuration, 4 not found, 5 not allowed, 69 hub not reachable.
Settings come from the environment: docs/configuration.md.`;

export function buildProgram(actions: CliActions): Command {
  const { terminal } = actions;
  const program = new Command("hexahub")
    .description("A self-hosted IoT hub: MQTT broker, device registry, command path and telemetry in one process.")
    .version(actions.version, "-V, --version")
    .option("--json", "print JSON on stdout", false)
    .option("--url <url>", "the hub to talk to (HEXA_URL)")
    .option("--token-file <path>", "file with an access token, - for standard input (HEXA_TOKEN)")
    .addHelpText("after", EXAMPLES)
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({ writeOut: (text) => void terminal.stdout.write(text), writeErr: (text) => void terminal.stderr.write(text) })
    .showSuggestionAfterError()
    .exitOverride();
  const session = createSession(actions, program);
  addLocalCommands(program, session, actions);
  addDemoCommands(program, session);
  addDeviceCommands(program, session);
  addTokenCommands(program, session);
  addKeyCommands(program, session);
  addAuditCommands(program, session);
  addEncryptionCommands(program, session);
  addDoctorCommand(program, session, actions);
  return program;
}

/** Runs one command line (without `node` and the script) and resolves to the code to exit with. */
export async function runCli(actions: CliActions, args: readonly string[]): Promise<ExitCode> {
  const program = buildProgram(actions);
  try {
    await program.parseAsync(args, { from: "user" });
    return EXIT.ok;
  } catch (error) {
    return report(error, actions.terminal, args.includes("--json"));
  }
}

function report(error: unknown, terminal: Terminal, json: boolean): ExitCode {
  // Commander has printed its own message, or the help that was asked for.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  const { exitCode, lines, data } = explain(error);
  terminal.stderr.write(json ? `${JSON.stringify(data)}\n` : `${lines.filter((line) => line !== "").join("\n")}\n`);
  return exitCode;
}

function explain(error: unknown): { exitCode: ExitCode; lines: string[]; data: object } {
  if (error instanceof ConfigError) {
    const lines = error.problems.map(({ variable, what, mend }) => `✗ ${variable} ${what}\n  ${mend}`);
    return { exitCode: EXIT.configuration, lines, data: { code: "configuration", message: error.message, problems: error.problems } };
  }
  if (error instanceof SetupError)
    return {
      exitCode: EXIT.configuration,
      lines: [`✗ ${error.message} (${error.where})`, `  ${error.mend}`],
      data: { code: "setup", message: error.message, where: error.where, mend: error.mend },
    };
  if (error instanceof ApiFailure) {
    const { code, message, details, requestId } = error;
    const lines = [
      `✗ ${code}: ${message}`,
      details === null ? "" : `  ${JSON.stringify(details)}`,
      requestId === null ? "" : `  request ${requestId}`,
    ];
    return { exitCode: error.exitCode, lines, data: { code, message, details, request_id: requestId } };
  }
  if (error instanceof CliError)
    return {
      exitCode: error.exitCode,
      lines: [`✗ ${error.message}`, indented(error.mend)],
      data: { code: error.code, message: error.message, mend: error.mend },
    };
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { exitCode: EXIT.failed, lines: [stack], data: { code: "internal_error", message: stack } };
}

function indented(text: string): string {
  return text === ""
    ? ""
    : text
        .split("\n")
        .map((line) => `  ${line}`)
        .join("\n");
}
