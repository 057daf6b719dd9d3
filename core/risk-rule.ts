import Type, { type Static } from "typebox";
import { COMMAND_SOURCES, type Command, type CommandSource } from "./command.ts";
import { ClockTime, compare, DeviceUid, isInWindow, OPERATORS, OutputIndex, TimeZone, variableOf } from "./condition.ts";
import { UuidText } from "./definition.ts";
import { DeviceClass, Sensitivity } from "./device.ts";
import { ACTOR_KINDS, type Actor } from "./principal.ts";

const closed = { additionalProperties: false } as const;
const some = { minItems: 1, maxItems: 100, uniqueItems: true } as const;
const Single = Type.Union([Type.String({ maxLength: 256 }), Type.Number(), Type.Boolean()]);

/** Everything that is named has to match. */
const RiskMatch = Type.Object(
  {
    commands: Type.Optional(
      Type.Array(
        Type.Enum(["set_relay", "set_all_relays", "set_light", "ir_send", "identify", "restart"] satisfies Command["command"][]),
        some,
      ),
    ),
    device_classes: Type.Optional(Type.Array(DeviceClass, some)),
    devices: Type.Optional(Type.Array(DeviceUid, some)),
    sites: Type.Optional(Type.Array(UuidText, some)),
    sensitivity: Type.Optional(Type.Array(Sensitivity, some)),
    sources: Type.Optional(Type.Array(Type.Enum([...COMMAND_SOURCES]), some)),
    actors: Type.Optional(Type.Array(Type.Enum([...ACTOR_KINDS]), some)),
    relays: Type.Optional(Type.Array(OutputIndex, some)),
    time_window: Type.Optional(
      Type.Object({ from: ClockTime, to: ClockTime, time_zone: Type.Optional(TimeZone) }, { ...closed, description: "Over midnight too" }),
    ),
    payload: Type.Optional(
      Type.Array(
        Type.Object(
          {
            path: Type.String({
              pattern: "^[a-z_]{1,32}(\\.[0-9]{1,4})?$",
              description: "A member of the command, for example brightness or timings.0",
            }),
            op: Type.Enum([...OPERATORS]),
            value: Type.Union([Single, Type.Array(Single, { maxItems: 100 })]),
          },
          closed,
        ),
        { minItems: 1, maxItems: 10 },
      ),
    ),
  },
  { ...closed, minProperties: 1, title: "RiskMatch" },
);
type RiskMatch = Static<typeof RiskMatch>;

/** A pattern of the organisation's own, with one effect. */
export const RiskRule = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 100, pattern: "^[^\\u0000-\\u001f\\u007f]*$" }),
    match: RiskMatch,
    points: Type.Optional(Type.Integer({ minimum: -100, maximum: 100 })),
    require_approval: Type.Optional(Type.Literal(true)),
    allow: Type.Optional(Type.Literal(true)),
  },
  { ...closed, title: "RiskRule" },
);
export type RiskRule = Static<typeof RiskRule>;

/** What a rule is held against, beside the command. */
export interface RiskScene {
  readonly device: { readonly uid: string; readonly class: DeviceClass; readonly sensitivity: Sensitivity; readonly siteId: string | null };
  readonly actor: Actor;
  readonly source: CommandSource;
  /** ms since 1970 */
  readonly now: number;
  /** IANA; of the device's site, else of the policy. */
  readonly timeZone: string;
}

/**
 * Whether the rule is about the command. Where what the command will do is not known yet (TOGGLE), or is done to several relays
 * at once, a rule that makes it harder holds when it is about any part of it, and one that makes it easier when about all.
 */
export function isAbout({ match, points, allow }: RiskRule, command: Command, scene: RiskScene): boolean {
  if (!isAboutScene(match, scene)) return false;
  const makesEasier = allow === true || (points ?? 0) < 0;
  if (makesEasier) return formsOf(command).every((form) => isAboutCommand(match, form));
  return [...formsOf(command), ...partsOf(command)].some((form) => isAboutCommand(match, form));
}

function isAboutScene(match: RiskMatch, { device, actor, source, now, timeZone }: RiskScene): boolean {
  const window = match.time_window;
  return (
    has(match.device_classes, device.class) &&
    has(match.devices, device.uid) &&
    (match.sites === undefined || (device.siteId !== null && has(match.sites, device.siteId))) &&
    has(match.sensitivity, device.sensitivity) &&
    has(match.actors, actor.kind) &&
    has(match.sources, source) &&
    (window === undefined || isInWindow(window, window.time_zone ?? timeZone, now))
  );
}

function isAboutCommand({ commands, relays, payload }: RiskMatch, command: Command): boolean {
  if (!has(commands, command.command)) return false;
  if (relays !== undefined && !(command.command === "set_relay" && relays.includes(command.relay))) return false;
  return (payload ?? []).every(({ path, op, value }) => compare(memberOf(path, command), op, value));
}

const has = <T>(list: readonly T[] | undefined, value: T): boolean => list === undefined || list.includes(value);

function memberOf(path: string, command: Command): Parameters<typeof compare>[0] {
  const value = variableOf(`command.${path}`, command);
  return value as Parameters<typeof compare>[0];
}

/** What the command can turn out to be: TOGGLE is one or the other, and a light is switched by its brightness or colour alone. */
function formsOf(command: Command): Command[] {
  if (command.command === "set_relay" && command.state === "TOGGLE") return bothOf(command);
  if (command.command !== "set_light") return [command];
  if (command.state === "TOGGLE") return bothOf(command);
  if (command.state !== undefined) return [command];
  return [{ ...command, state: command.brightness === 0 ? "OFF" : "ON" }];
}

const bothOf = <T extends Command>(command: T): T[] => [
  { ...command, state: "ON" },
  { ...command, state: "OFF" },
];

/** All relays at once are each of them too. */
function partsOf(command: Command): Command[] {
  if (command.command !== "set_all_relays") return [];
  return Array.from({ length: 32 }, (_, relay) => ({ command: "set_relay", relay, state: command.state }));
}
