import type { Command } from "commander";
import { parseDemo, parseDemoStopped } from "./replies.ts";
import type { Session } from "./session.ts";
import { table } from "./terminal.ts";

const PATH = "/api/v1/demo";
/** Six devices enrol and connect over TLS before the answer comes. */
const START_TIMEOUT_MS = 60_000;

export function addDemoCommands(program: Command, session: Session): void {
  const demo = program.command("demo").description("a home of virtual devices that speak MQTT over TLS like real ones");

  demo
    .command("start")
    .description("enrol and connect the demo's devices")
    .action(async () => {
      const answer = await (await session.hub()).request("POST", PATH, { timeoutMs: START_TIMEOUT_MS });
      session.print(answer, () => devicesText(answer));
    });

  demo
    .command("stop")
    .description("disconnect and remove them, with their readings")
    .action(async () => {
      const answer = await (await session.hub()).request("DELETE", PATH, { timeoutMs: START_TIMEOUT_MS });
      session.print(answer, () => `${parseDemoStopped(answer).removed} demo devices removed`);
    });

  demo
    .command("status")
    .description("which demo devices there are")
    .action(async () => {
      const answer = await (await session.hub()).request("GET", PATH);
      session.print(answer, () => devicesText(answer));
    });
}

function devicesText(answer: unknown): string {
  const rows = parseDemo(answer).devices.map(({ uid, name, connected }) => [uid, name, connected ? "connected" : "not connected"]);
  return table(["uid", "name", "connection"], rows, "the demo does not run; start it with `npx hexahub demo start`");
}
