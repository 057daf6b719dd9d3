import { fork } from "node:child_process";
import { once } from "node:events";
import { until } from "../support/wait.ts";

interface Told {
  readonly event: string;
  readonly nodeId?: string;
  readonly deadId?: string;
  readonly text?: string;
  readonly formerId?: string;
  readonly peers?: readonly string[];
}

export interface NodeProcess extends AsyncDisposable {
  readonly nodeId: string;
  /** What it was told so far, of that name. */
  of(event: string): Told[];
  tell(order: { say?: string; claim?: string; want?: string; ask?: string }): void;
  signal(name: NodeJS.Signals): void;
}

/** A node in a process of its own, for what a process must suffer. */
export async function startProcess(redisUrl: string, ...args: string[]): Promise<NodeProcess> {
  const child = fork(new URL("cluster-node-child.ts", import.meta.url), [redisUrl, ...args]);
  const events: Told[] = [];
  child.on("message", (event) => void events.push(event as Told));
  const of = (name: string) => events.filter(({ event }) => event === name);
  await until(() => of("ready").length > 0, { what: "the node to be ready" });
  return {
    nodeId: of("ready")[0]?.nodeId ?? "",
    of,
    tell: (order) => void child.send(order),
    signal: (name) => void child.kill(name),
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, "exit");
      child.kill("SIGKILL");
      await exited;
    },
  };
}
