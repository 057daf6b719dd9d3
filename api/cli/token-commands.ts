import { type Command, Option } from "commander";
import type { HubClient } from "./hub-client.ts";
import { numberOption } from "./options.ts";
import { parseNewToken, parseTokenPage, type TokenSummary } from "./replies.ts";
import type { Session } from "./session.ts";
import { table } from "./terminal.ts";

const PATH = "/api/v1/access-tokens";
const DAY_S = 86_400;
const PAGE = 500;

interface CreateOptions {
  readonly kind: string;
  readonly expiresIn?: number;
  readonly permission?: string[];
  readonly device?: string[];
}

export function addTokenCommands(program: Command, session: Session): void {
  const token = program.command("token").description("access tokens for the REST API and for MQTT");

  token
    .command("create <name>")
    .description("make a token and print it, once; a service's name is also its MQTT username")
    .addOption(new Option("--kind <kind>", "a machine's own account, or your own").choices(["service", "personal"]).default("service"))
    .option("--expires-in <days>", "days until it ends (default: never)", numberOption({ minimum: 1, integer: true }))
    .option("--permission <permissions...>", "what it may do, for example device.read (default: all that its owner may)")
    .option("--device <devices...>", "on these devices alone, by uid or UUID (default: all of the organisation)")
    .action(async (name: string, { kind, expiresIn, permission, device }: CreateOptions) => {
      const body = {
        kind,
        name,
        ...(expiresIn === undefined ? {} : { expires_in_s: expiresIn * DAY_S }),
        ...(permission === undefined ? {} : { permissions: permission }),
        ...(device === undefined ? {} : { devices: device }),
      };
      const answer = await (await session.hub()).request("POST", PATH, { body });
      session.print(answer, () => parseNewToken(answer).token);
      session.note("The token is not shown again.");
    });

  token
    .command("list")
    .description("the tokens there are, never the secrets")
    .action(async () => {
      const tokens = await listTokens(await session.hub());
      session.print({ data: tokens }, () => {
        const rows = tokens.map((one) => [
          one.id,
          one.kind,
          one.name,
          limitsOf(one),
          one.revoked_at ? "revoked" : (one.expires_at ?? "never"),
          one.last_used_at ?? "never",
        ]);
        return table(["id", "kind", "name", "limited to", "ends", "last used"], rows, "there are no tokens");
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

async function listTokens(hub: HubClient): Promise<TokenSummary[]> {
  const tokens: TokenSummary[] = [];
  let cursor: string | null | undefined;
  do {
    const query = new URLSearchParams({ limit: String(PAGE), ...(cursor ? { cursor } : {}) });
    const page = parseTokenPage(await hub.request("GET", `${PATH}?${query.toString()}`));
    tokens.push(...page.data);
    cursor = page.next_cursor;
  } while (cursor);
  return tokens;
}

function limitsOf({ permissions, devices }: TokenSummary): string {
  const parts = [permissions?.join(" "), devices && `${devices.length} ${devices.length === 1 ? "device" : "devices"}`];
  return parts.filter((part) => part).join(", ") || "nothing";
}
