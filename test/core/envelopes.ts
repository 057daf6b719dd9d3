import fc from "fast-check";
import type { TaskAction, TaskEnvelope, TaskResultEnvelope } from "../../core/task-envelope.ts";

const id = fc.stringMatching(/^[A-Za-z0-9._:-]{1,64}$/);
const onOff = fc.constantFrom("ON" as const, "OFF" as const);
const index = fc.integer({ min: 0, max: 31 });
const percent = fc.integer({ min: 0, max: 100 });
const HEAD = { task_id: id, attempt: fc.integer({ min: 1, max: 1_000_000 }), key_id: fc.stringMatching(/^[1-9][0-9]{0,8}$/) };
const plain = { noNullPrototype: true } as const;

export const anyKey = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes));

const anyAction: fc.Arbitrary<TaskAction> = fc.oneof(
  fc.record({ action_id: id, command: fc.constant("set_relay" as const), relay: index, state: onOff }, plain),
  fc.record({ action_id: id, command: fc.constant("set_all_relays" as const), state: onOff }, plain),
  fc.record(
    {
      action_id: id,
      command: fc.constant("set_light" as const),
      light: index,
      brightness: percent,
      transition: fc.double({ min: 0, max: 3600, noNaN: true }),
    },
    plain,
  ),
  fc.record(
    {
      action_id: id,
      command: fc.constant("ir_send" as const),
      timings: fc.array(fc.integer({ min: -9_000, max: 9_000 }), { minLength: 2, maxLength: 8 }),
    },
    plain,
  ),
  fc.record({ action_id: id, command: fc.constantFrom("identify" as const, "restart" as const) }, plain),
);

/** A task that is in time at `now`. */
export const anyTask = (now: number): fc.Arbitrary<Omit<TaskEnvelope, "signature">> =>
  fc.record(
    {
      type: fc.constant("task.exec" as const),
      ...HEAD,
      issued_at: timeAround(now),
      expires_at: fc.integer({ min: 1, max: 86_400_000 }).map((ms) => new Date(now + ms).toISOString()),
      actions: fc.array(anyAction, { minLength: 1, maxLength: 5 }),
    },
    plain,
  );

const anyOutcome = fc.oneof(
  fc.record({ action_id: id, status: fc.constant("ok" as const), state: onOff }, plain),
  fc.record(
    {
      action_id: id,
      status: fc.constant("ok" as const),
      state: fc.record({ relays: fc.array(fc.record({ index, state: onOff }, plain), { maxLength: 4 }) }, plain),
    },
    plain,
  ),
  fc.record({ action_id: id, status: fc.constant("error" as const), error: fc.string({ unit: "grapheme", maxLength: 100 }) }, plain),
  fc.record({ action_id: id, status: fc.constant("skipped" as const) }, plain),
);

/** A result that is in time at `now`. */
export const anyResult = (now: number): fc.Arbitrary<Omit<TaskResultEnvelope, "signature">> =>
  fc.record(
    {
      type: fc.constant("task.result" as const),
      ...HEAD,
      results: fc.array(anyOutcome, { minLength: 1, maxLength: 5 }),
      timestamp: fc.oneof(
        timeAround(now),
        timeAround(now).map((text) => Date.parse(text)),
      ),
    },
    plain,
  );

function timeAround(now: number): fc.Arbitrary<string> {
  return fc.integer({ min: -300_000, max: 300_000 }).map((ms) => new Date(now + ms).toISOString());
}

/** The value with one thing in it changed, taken away or added, wherever it is. */
export function* changesOf(value: unknown): Generator {
  if (Array.isArray(value)) {
    for (const [place, member] of value.entries()) {
      yield value.toSpliced(place, 1);
      for (const changed of changesOf(member)) yield value.with(place, changed);
    }
    yield [...(value as unknown[]), 0];
  } else if (typeof value === "object" && value !== null) {
    for (const [name, member] of Object.entries(value)) {
      const { [name]: _, ...rest } = value as Record<string, unknown>;
      yield rest;
      yield { ...rest, [`${name}x`]: member };
      for (const changed of changesOf(member)) yield { ...value, [name]: changed };
    }
    yield { ...value, added: true };
  } else if (typeof value === "string") {
    yield `${value}x`;
    if (value !== "") yield value.slice(1);
  } else if (typeof value === "number") yield value + 1;
}
