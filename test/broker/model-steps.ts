import fc from "fast-check";

/** What happens next. Numbers choose among what there is when the step is taken, so that any part of a list of steps is a list of steps. */
export type Step =
  | ConnectStep
  | { readonly kind: "end"; readonly client: number; readonly how: "bye" | "with will" | "forever" | "drop" | "garbage" }
  | { readonly kind: "subscribe"; readonly client: number; readonly filters: readonly FilterStep[]; readonly id: number }
  | { readonly kind: "unsubscribe"; readonly client: number; readonly filters: readonly number[] }
  | PublishStep
  | { readonly kind: "acknowledge"; readonly client: number; readonly isHalf: boolean }
  | { readonly kind: "settle" }
  | { readonly kind: "release"; readonly node: number; readonly device: number }
  | { readonly kind: "claim"; readonly node: number; readonly device: number; readonly organization: 0 | 1 }
  | { readonly kind: "rotate"; readonly node: number; readonly device: number }
  | { readonly kind: "revoke"; readonly node: number; readonly person: number };

export interface ConnectStep {
  readonly kind: "connect";
  readonly node: number;
  readonly slot: number;
  /** Whose account: the slot's own, or any. */
  readonly player: number | undefined;
  readonly isStale: boolean;
  readonly version: 4 | 5;
  readonly isClean: boolean;
  readonly lasts: boolean;
  readonly will:
    | { readonly topic: number; readonly isForeign: boolean; readonly qos: 0 | 1 | 2; readonly retain: boolean; readonly isLate: boolean }
    | undefined;
  /** Receive maximum, MQTT 5. */
  readonly window: number | undefined;
  readonly holds: boolean;
}

export interface FilterStep {
  readonly filter: number;
  readonly isShared: boolean;
  readonly qos: 0 | 1 | 2;
  readonly noLocal: boolean;
  readonly keepsRetain: boolean;
  readonly retainHandling: 0 | 1 | 2;
}

export interface PublishStep {
  readonly kind: "publish";
  readonly client: number;
  readonly topic: number;
  readonly isForeign: boolean;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly isEmpty: boolean;
  /** QoS 2: sent twice before it is released, the second time perhaps on a new connection. */
  readonly twice: "no" | "here" | "there";
  /** Of the new connection. */
  readonly node: number;
}

const choice = fc.nat({ max: 999 });
const qos = fc.constantFrom(0, 1, 2);
/** True once in `n` times. */
const rarely = (n: number) => fc.nat({ max: n - 1 }).map((at) => at === n - 1);
const often = fc.nat({ max: 2 }).map((at) => at > 0);
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined, freq: 2 });
const kind = <T extends string>(name: T) => fc.constant(name);

const connect: fc.Arbitrary<ConnectStep> = fc.record({
  kind: kind("connect"),
  node: choice,
  slot: choice,
  player: fc.oneof({ weight: 5, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: choice }),
  isStale: rarely(12),
  version: fc.constantFrom(4, 5),
  isClean: rarely(3),
  lasts: often,
  will: maybe(fc.record({ topic: choice, isForeign: rarely(8), qos, retain: fc.boolean(), isLate: fc.boolean() })),
  window: maybe(fc.integer({ min: 1, max: 4 })),
  holds: fc.boolean(),
});

const filter: fc.Arbitrary<FilterStep> = fc.record({
  filter: choice,
  isShared: fc.boolean(),
  qos,
  noLocal: rarely(4),
  keepsRetain: fc.boolean(),
  retainHandling: fc.constantFrom(0, 0, 1, 2),
});

const publish: fc.Arbitrary<PublishStep> = fc.record({
  kind: kind("publish"),
  client: choice,
  topic: choice,
  isForeign: rarely(8),
  qos,
  retain: rarely(3),
  isEmpty: rarely(5),
  twice: fc.constantFrom("no", "no", "no", "no", "no", "no", "here", "there"),
  node: choice,
});

export const steps: fc.Arbitrary<Step> = fc.oneof(
  { weight: 11, arbitrary: connect },
  {
    weight: 7,
    arbitrary: fc.record({
      kind: kind("end"),
      client: choice,
      how: fc.constantFrom("bye", "with will", "forever", "drop", "drop", "garbage"),
    }),
  },
  {
    weight: 14,
    arbitrary: fc.record({
      kind: kind("subscribe"),
      client: choice,
      filters: fc.array(filter, { minLength: 1, maxLength: 4 }),
      id: fc.nat({ max: 5 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ kind: kind("unsubscribe"), client: choice, filters: fc.array(choice, { minLength: 1, maxLength: 3 }) }),
  },
  { weight: 50, arbitrary: publish },
  { weight: 6, arbitrary: fc.record({ kind: kind("acknowledge"), client: choice, isHalf: fc.boolean() }) },
  { weight: 4, arbitrary: fc.record({ kind: kind("settle") }) },
  { weight: 3, arbitrary: fc.record({ kind: kind("release"), node: choice, device: choice }) },
  { weight: 4, arbitrary: fc.record({ kind: kind("claim"), node: choice, device: choice, organization: fc.constantFrom(0, 1) }) },
  { weight: 1, arbitrary: fc.record({ kind: kind("rotate"), node: choice, device: choice }) },
  { weight: 1, arbitrary: fc.record({ kind: kind("revoke"), node: choice, person: choice }) },
);

/** Which organisation each device is in at first; 2 is none. */
export const beginnings = fc.array(fc.constantFrom(0, 1, 2), { minLength: 3, maxLength: 3 });
