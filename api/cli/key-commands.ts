import { type Command, Option } from "commander";
import { KEY_PURPOSES } from "../../core/signing-key.ts";
import { parseRotatedKey, parseSigningKeys } from "./replies.ts";
import type { Session } from "./session.ts";
import { table } from "./terminal.ts";

const PATH = "/api/v1/signing-keys";

export function addKeyCommands(program: Command, session: Session): void {
  const keys = program.command("keys").description("the keys that sign tokens");

  keys
    .command("list")
    .description("the keys there are, never the secrets")
    .action(async () => {
      const answer = await (await session.hub()).request("GET", PATH);
      session.print(answer, () => {
        const rows = parseSigningKeys(answer).data.map(({ kid, purpose, state, activates_at, retired_at }) => [
          kid,
          purpose,
          state,
          activates_at,
          retired_at ?? "-",
        ]);
        return table(["kid", "purpose", "state", "signs from", "until"], rows, "there are no keys");
      });
    });

  keys
    .command("rotate")
    .description("go on to another key; tokens stay valid")
    .addOption(new Option("--purpose <purpose>", "what it signs").choices(KEY_PURPOSES).default("user_jwt"))
    .action(async ({ purpose }: { purpose: string }) => {
      const answer = await (await session.hub()).request("POST", `${PATH}/rotate`, { body: { purpose } });
      session.print(answer, () => {
        const { kid, activates_at } = parseRotatedKey(answer).signing_key;
        return `${kid} signs from ${activates_at} on`;
      });
    });
}
