import { type Command, Option } from "commander";
import { numberOption } from "./options.ts";
import { parseNewToken, parseTokenPage } from "./replies.ts";
import type { Session } from "./session.ts";
import { table } from "./terminal.ts";

const PATH = "/api/v1/access-tokens";
const DAY_S = 86_400;

export function addTokenCommands(program: Command, session: Session): void {
  const token = program.command("token").description("access tokens for the REST API and for MQTT");

  token
    .command("create <name>")
    .description("make a token and print it, once; a service's name is also its MQTT username")
    .addOption(new Option("--kind <kind>", "a machine's own account, or your own").choices(["service", "personal"]).default("service"))
    .option("--expires-in <days>", "days until it ends (default: never)", numberOption({ minimum: 1, integer: true }))
    .action(async (name: string, options: { kind: string; expiresIn?: number }) => {
      const { kind, expiresIn } = options;
      const body = { kind, name, ...(expiresIn === undefined ? {} : { expires_in_s: expiresIn * DAY_S }) };
      const answer = await (await session.hub()).request("POST", PATH, { body });
      session.print(answer, () => parseNewToken(answer).token);
      session.note("The token is not shown again.");
    });

  token
    .command("list")
    .description("the tokens there are, never the secrets")
    .action(async () => {
      const answer = await (await session.hub()).request("GET", PATH);
      session.print(answer, () => {
        const rows = parseTokenPage(answer).data.map((one) => [
          one.id,
          one.kind,
          one.name,
          one.revoked_at ? "revoked" : (one.expires_at ?? "never"),
          one.last_used_at ?? "never",
        ]);
        return table(["id", "kind", "name", "ends", "last used"], rows, "there are no tokens");
      });
    });

  token
    .command("revoke <id>")
    .description("end a token and the sessions that live on it")
    .action(async (id: string) => {
      await (await session.hub()).request("DELETE", `${PATH}/${encodeURIComponent(id)}`);
      session.print({ id, revoked: true }, () => `${id} is revoked`);
    });
}
