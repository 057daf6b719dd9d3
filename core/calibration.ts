import Type, { type Static } from "typebox";
import { fault } from "./definition.ts";
import { tidy } from "./units.ts";

const Amount = Type.Number({ minimum: -1e15, maximum: 1e15 });
const limits = {
  min: Type.Optional(Amount),
  max: Type.Optional(Amount),
  outside: Type.Optional(
    Type.Enum(["ignore", "clamp"], {
      description: "What becomes of a value below min or above max: it is no reading, which is the default, or becomes min or max",
    }),
  ),
};
const closed = { additionalProperties: false } as const;

const LinearCalibration = Type.Object(
  { kind: Type.Literal("linear"), scale: Type.Optional(Amount), offset: Type.Optional(Amount), ...limits },
  { ...closed, title: "LinearCalibration", description: "raw × scale + offset" },
);
const PointCalibration = Type.Object(
  {
    kind: Type.Literal("points"),
    points: Type.Array(Type.Array(Amount, { minItems: 2, maxItems: 2 }), {
      minItems: 2,
      maxItems: 20,
      description: "[raw, true] values by rising raw value; between them a straight line, beyond them the line of the nearest two",
    }),
    ...limits,
  },
  { ...closed, title: "PointCalibration" },
);
type Points = readonly (readonly [number, number])[];

/** What makes a stored value of what a sensor says. `min` and `max` are of the stored value. */
export type Calibration =
  | Static<typeof LinearCalibration>
  | (Omit<Static<typeof PointCalibration>, "points"> & { readonly points: Points });
export const Calibration = Type.Unsafe<Calibration>({
  type: "object",
  title: "Calibration",
  discriminator: { propertyName: "kind" },
  oneOf: [LinearCalibration, PointCalibration],
});

/** Throws `validation_error` for what the schema cannot say. */
export function checkCalibration(calibration: Calibration, path: string): void {
  const { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY } = calibration;
  if (min > max) throw fault(`${path}/max`, "is less than min");
  if (calibration.kind === "linear") {
    if (calibration.scale === 0) throw fault(`${path}/scale`, "is 0, by which every value would be the same");
    return;
  }
  for (const [index, [raw]] of calibration.points.entries())
    if (index > 0 && raw <= (calibration.points[index - 1]?.[0] as number))
      throw fault(`${path}/points/${index}/0`, "is not more than the raw value before it");
}

/** The value that is stored; undefined for one that is outside, and not stored. */
export function calibrated(calibration: Calibration, raw: number): number | undefined {
  const value = tidy(
    calibration.kind === "linear" ? raw * (calibration.scale ?? 1) + (calibration.offset ?? 0) : onLine(calibration.points, raw),
  );
  const { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY, outside } = calibration;
  if (!Number.isFinite(value)) return undefined;
  if (value >= min && value <= max) return value;
  return outside === "clamp" ? Math.min(Math.max(value, min), max) : undefined;
}

function onLine(points: Points, raw: number): number {
  let index = 1;
  while (index < points.length - 1 && raw > (points[index] as Points[0])[0]) index++;
  const [[fromRaw, from], [toRaw, to]] = [points[index - 1], points[index]] as [Points[0], Points[0]];
  return from + ((raw - fromRaw) * (to - from)) / (toRaw - fromRaw);
}
