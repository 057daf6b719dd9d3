import type { TestEvent } from "node:test/reporters";
import { inspect } from "node:util";

/** What a test file tells the runner over its IPC channel, one message per event. */
export type Report =
  | { kind: "open"; test: string }
  /** May come twice: node:test says it again of what is inside of a suite that others are told before. */
  | { kind: "closed"; test: string }
  | { kind: "passed"; path: string[]; durationMs: number }
  | { kind: "skipped"; path: string[]; reason: string }
  | { kind: "failed"; path: string[]; where: string; error: string }
  | { kind: "stray"; message: string }
  | { kind: "measured"; message: string };

/** What node:test says of a file as a whole. */
const COUNT = /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) [\d.]+$/;

/** A node:test reporter: loaded by `--test-reporter` in the process of the test file; it prints nothing itself. */
export default async function* report(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const names: string[] = [];
  for await (const event of events) {
    // Names of the open tests by depth; a start always comes before what happens inside.
    if (event.type === "test:start") names.splice(event.data.nesting, Infinity, event.data.name);
    const message = toReport(event, names);
    if (message) process.send?.(message);
    yield "";
  }
}

function toReport(event: TestEvent, names: readonly string[]): Report | undefined {
  switch (event.type) {
    case "test:enqueue":
      return { kind: "open", test: placeOf(event.data) };
    case "test:complete":
      return { kind: "closed", test: placeOf(event.data) };
    case "test:pass": {
      const path = [...names.slice(0, event.data.nesting), event.data.name];
      const { skip, todo, details } = event.data;
      if (isSet(skip) || isSet(todo)) return { kind: "skipped", path, reason: String(skip || todo) };
      return details.type === "suite" ? undefined : { kind: "passed", path, durationMs: details.duration_ms };
    }
    case "test:fail": {
      const { error } = event.data.details;
      // The subtest has told why.
      if ("failureType" in error && error.failureType === "subtestsFailed") return undefined;
      const path = [...names.slice(0, event.data.nesting), event.data.name];
      const where = `${event.data.file ?? ""}:${event.data.line ?? ""}`;
      const failures = failuresOf(error.cause ?? error).map((one) => inspect(one, { depth: 6, breakLength: 120 }));
      return { kind: "failed", path, where, error: failures.join("\n") };
    }
    case "test:diagnostic":
      if (event.data.message.includes("asynchronous activity after the test ended")) return { kind: "stray", message: event.data.message };
      return COUNT.test(event.data.message) ? undefined : { kind: "measured", message: event.data.message };
    default:
      return undefined;
  }
}

/** What went wrong first, and then what did while things were put away. */
function failuresOf(thrown: unknown): unknown[] {
  if (!(thrown instanceof SuppressedError)) return [thrown];
  return [...failuresOf(thrown.suppressed), ...failuresOf(thrown.error)];
}

const placeOf = ({ nesting, line, column, name }: { nesting: number; line?: number; column?: number; name: string }): string =>
  `${nesting} ${line ?? ""}:${column ?? ""} ${name}`;

/** `skip: true` and `skip: "reason"` are set, `skip: undefined` and `skip: false` are not. */
function isSet(option: string | boolean | undefined): boolean {
  return option !== undefined && option !== false;
}
