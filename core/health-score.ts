import type { Severity } from "./notification.ts";

/** What is known of a device. The last seven days against the four weeks before, where nothing else is said; null for what nobody knows. */
export interface HealthFacts {
  /** How long it could have been connected, in s, and was. */
  readonly online: { readonly possibleS: number; readonly s: number; readonly disconnects: number };
  readonly onlineBefore: { readonly possibleS: number; readonly s: number };
  readonly commands: { readonly n: number; readonly ok: number };
  /** Medians, in ms. */
  readonly latency: { readonly n: number; readonly ms: number | null };
  readonly latencyBefore: { readonly n: number; readonly ms: number | null };
  /** Hours with readings, of that many hours. */
  readonly telemetry: { readonly hours: number; readonly of: number };
  readonly telemetryBefore: { readonly hours: number; readonly of: number };
  /** In per cent, the newest. */
  readonly battery: number | null;
  /** In dBm, the newest. */
  readonly signal: number | null;
  readonly alerts: readonly Severity[];
}

export const HEALTH_PARTS = ["connectivity", "commands", "latency", "telemetry", "battery", "signal", "alerts"] as const;

export interface HealthPart {
  readonly part: (typeof HEALTH_PARTS)[number];
  /** Beside the others that are known. */
  readonly weight: number;
  /** 0 to 100; null where there is too little to judge by. */
  readonly value: number | null;
  readonly reason: string;
}

export interface Health {
  /** 0 to 100; null where nothing is known of the device. */
  readonly score: number | null;
  readonly parts: readonly HealthPart[];
}

const WEIGHTS: Readonly<Record<HealthPart["part"], number>> = {
  connectivity: 30,
  commands: 25,
  latency: 10,
  telemetry: 15,
  battery: 10,
  signal: 5,
  alerts: 5,
};
const DAY_S = 86_400;
const LEAST_COMMANDS = 5;
const LEAST_ANSWERS = 10;

/** Each part has its value, its weight and its reason; the score is the mean of those that are known, by their weights. */
export function healthOf(facts: HealthFacts): Health {
  const judged: Record<HealthPart["part"], Judgement> = {
    connectivity: connectivity(facts),
    commands: commands(facts),
    latency: latency(facts),
    telemetry: telemetry(facts),
    battery:
      facts.battery === null
        ? unknown("no battery is reported")
        : judge(((facts.battery - 5) / 45) * 100, `battery at ${round(facts.battery)} %`),
    signal:
      facts.signal === null
        ? unknown("no signal strength is reported")
        : judge(((facts.signal + 90) / 30) * 100, `signal of ${round(facts.signal)} dBm`),
    alerts: alerts(facts),
  };
  const parts = HEALTH_PARTS.map((part) => ({ part, weight: WEIGHTS[part], ...judged[part] }));
  const known = parts.filter(({ value }) => value !== null);
  // That nobody has complained says nothing of a device of which nothing is known.
  if (known.every(({ part }) => part === "alerts") && facts.alerts.length === 0) return { score: null, parts };
  const weights = known.reduce((sum, { weight }) => sum + weight, 0);
  return { score: Math.round(known.reduce((sum, { value, weight }) => sum + (value ?? 0) * weight, 0) / weights), parts };
}

type Judgement = Pick<HealthPart, "value" | "reason">;

const unknown = (reason: string): Judgement => ({ value: null, reason });
const judge = (value: number, reason: string): Judgement => ({ value: Math.round(Math.min(100, Math.max(0, value))), reason });
const round = (value: number): number => Math.round(value * 10) / 10;
const percent = (share: number): string => `${round(share * 100)} %`;

function connectivity({ online, onlineBefore }: HealthFacts): Judgement {
  if (online.possibleS < DAY_S) return unknown("it has been known for less than a day");
  if (online.s === 0 && onlineBefore.s === 0) return unknown("it was never connected");
  const share = online.s / online.possibleS;
  const usual = onlineBefore.possibleS < DAY_S ? undefined : onlineBefore.s / onlineBefore.possibleS;
  const aDay = round((online.disconnects * DAY_S) / online.possibleS);
  // It saves its battery: what is usual for it is what it should do.
  if (usual !== undefined && usual > 0 && usual < 0.5)
    return judge((share / usual) * 100, `connected ${percent(share)} of the time, as a rule ${percent(usual)}`);
  const penalty = Math.min(40, Math.max(0, aDay - 1) * 5);
  return judge(share * 100 - penalty, `connected ${percent(share)} of the time, with ${aDay} disconnects a day`);
}

function commands({ commands: { n, ok } }: HealthFacts): Judgement {
  if (n < LEAST_COMMANDS) return unknown(`${n} commands, too few to judge by`);
  return judge((ok / n) * 100, `${ok} of ${n} commands were done`);
}

function latency({ latency: now, latencyBefore: before }: HealthFacts): Judgement {
  if (now.n < LEAST_ANSWERS || before.n < LEAST_ANSWERS || now.ms === null || before.ms === null)
    return unknown("too few answers to compare with those before");
  const ratio = now.ms / Math.max(1, before.ms);
  // As quick as before up to a fifth slower; three times as slow is nothing left.
  return judge(100 - ((ratio - 1.2) / 1.8) * 100, `answers in ${round(now.ms)} ms, before in ${round(before.ms)} ms`);
}

function telemetry({ telemetry: now, telemetryBefore: before }: HealthFacts): Judgement {
  if (before.of < 24 || before.hours === 0 || now.of < 24) return unknown("no readings to compare with");
  const [share, usual] = [now.hours / now.of, before.hours / before.of];
  return judge((share / usual) * 100, `readings in ${percent(share)} of the hours, as a rule in ${percent(usual)}`);
}

function alerts({ alerts: open }: HealthFacts): Judgement {
  const count = (severity: Severity): number => open.filter((one) => one === severity).length;
  const [critical, warning, info] = [count("critical"), count("warning"), count("info")];
  if (open.length === 0) return judge(100, "no open alerts");
  return judge(
    100 - critical * 100 - warning * 50 - info * 20,
    `${critical} critical, ${warning} warning and ${info} info alerts are open`,
  );
}
