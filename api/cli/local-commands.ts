import type { Command } from "commander";
import { describeConfig } from "../../core/config.ts";
import type { CliActions } from "./actions.ts";
import { CliError, EXIT } from "./exit.ts";
import type { Session } from "./session.ts";
import { facts } from "./terminal.ts";

/** What needs no running hub: serve, db, config and docs. */
export function addLocalCommands(
  program: Command,
  session: Session,
  actions: Pick<CliActions, "serve" | "dbMigrate" | "dbStatus" | "docs">,
): void {
  program
    .command("serve")
    .description("run the hub until it is stopped; --json prints its life as one JSON object a line")
    .action(() => actions.serve(session.config(), { json: session.json() }));
  addConfig(program, session);
  addDatabase(program, session, actions);
  program
    .command("docs")
    .description("write the generated documents")
    .option("--check", "only compare; fails when one is out of date", false)
    .action(async ({ check }: { check: boolean }) => {
      const { changed } = await actions.docs({ check });
      session.print({ changed, check }, () => changed.map((path) => `${check ? "out of date" : "written"}  ${path}`).join("\n"));
      if (check && changed.length > 0)
        throw new CliError(EXIT.failed, "docs_out_of_date", `${changed.length} documents are out of date`, { mend: "npm run docs" });
    });
}

function addConfig(program: Command, session: Session): void {
  const config = program.command("config").description("the settings, as the environment gives them");
  config
    .command("check")
    .description("report everything that is wrong with them")
    .action(() => {
      session.config();
      session.print({ ok: true }, () => "✓ the settings are in order");
    });
  config
    .command("print")
    .description("what is in force, secrets masked")
    .action(() => {
      const described = describeConfig(session.config());
      session.print(described, () =>
        facts(
          Object.entries(described).map(([name, value]) => [name, value === null || String(value) === "" ? "(not set)" : String(value)]),
        ),
      );
    });
}

function addDatabase(program: Command, session: Session, actions: Pick<CliActions, "dbMigrate" | "dbStatus">): void {
  const db = program.command("db").description("the database's schema");
  db.command("migrate")
    .description("bring it up to this release (serve does so too)")
    .action(async () => {
      const { done } = await actions.dbMigrate(session.config());
      session.print({ done }, () => (done.length === 0 ? "the schema is up to date" : done.map((name) => `done  ${name}`).join("\n")));
    });
  db.command("status")
    .description("which migrations ran and which are due; the hub has to be stopped")
    .action(async () => {
      const status = await actions.dbStatus(session.config());
      session.print(status, () =>
        [...status.done.map((name) => `done     ${name}`), ...status.pending.map((name) => `pending  ${name}`)].join("\n"),
      );
    });
}
