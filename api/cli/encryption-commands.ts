import { setTimeout as pause } from "node:timers/promises";
import type { Command } from "commander";
import { CliError, EXIT } from "./exit.ts";
import { type EncryptionAnswer, parseEncryption } from "./replies.ts";
import type { Session } from "./session.ts";
import { facts } from "./terminal.ts";

const PATH = "/api/v1/encryption";
const LOOK_EVERY_MS = 500;
/** A node that died keeps its work for 15 s, until another one takes it. */
const STILL_MS = 60_000;

export function addEncryptionCommands(program: Command, session: Session): void {
  const encryption = program
    .command("encryption")
    .description("the key under which phone numbers and e-mail addresses of contacts are kept");

  encryption
    .command("status")
    .description("which key encrypts, and how far its change is")
    .action(async () => {
      const answer = await (await session.hub()).request("GET", PATH);
      session.print(answer, () => progressText(parseEncryption(answer)));
    });

  encryption
    .command("rotate")
    .description("change the key, and wait until everything is under the new one; the hub goes on without this command too")
    .action(async () => {
      const hub = await session.hub();
      let answer = await hub.request("POST", `${PATH}/rotate`);
      let progress = parseEncryption(answer);
      for (let movedAt = performance.now(); progress.state === "rotating"; ) {
        session.note(`${progress.done} of ${progress.total}`);
        await pause(LOOK_EVERY_MS);
        const before = progress.done;
        answer = await hub.request("GET", PATH);
        progress = parseEncryption(answer);
        if (progress.done !== before) movedAt = performance.now();
        if (progress.state === "rotating" && performance.now() - movedAt > STILL_MS)
          throw new CliError(EXIT.failed, "no_progress", `nothing was encrypted again for ${STILL_MS / 1_000} s`, {
            mend: "the hub's log says why; `npx hexahub encryption status` tells how far it is",
          });
      }
      session.print(answer, () => progressText(progress));
    });
}

function progressText({ state, key_id, total, done, unreadable }: EncryptionAnswer): string {
  return facts([
    ["state", state],
    ["key", key_id ?? "none yet"],
    ["encrypted", `${done} of ${total} under this key`],
    ["unreadable", String(unreadable)],
  ]);
}
