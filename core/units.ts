/**
 * What one of each unit is in the quantity's first unit, as the unit is defined: the inch of 1959, the pound of 1959, the US gallon,
 * the calorie of 4.184 J, the conventional millimetre of mercury and inch of water (ISO 80000, NIST SP 811). Names as Home Assistant writes them.
 */
const QUANTITIES = {
  length: { m: 1, km: 1_000, cm: 0.01, mm: 0.001, mi: 1_609.344, nmi: 1_852, yd: 0.9144, ft: 0.3048, in: 0.0254 },
  area: {
    "m²": 1,
    "cm²": 1e-4,
    "mm²": 1e-6,
    "km²": 1e6,
    ha: 1e4,
    "in²": 0.000_645_16,
    "ft²": 0.092_903_04,
    "yd²": 0.836_127_36,
    ac: 4_046.856_422_4,
    "mi²": 2_589_988.110_336,
  },
  volume: {
    "m³": 1,
    L: 1e-3,
    mL: 1e-6,
    gal: 0.003_785_411_784,
    "fl. oz.": 0.000_029_573_529_562_5,
    "ft³": 0.028_316_846_592,
    CCF: 2.831_684_659_2,
    MCF: 28.316_846_592,
  },
  "volume flow": {
    "m³/s": 1,
    "m³/min": 1 / 60,
    "m³/h": 1 / 3_600,
    "L/s": 1e-3,
    "L/min": 1e-3 / 60,
    "L/h": 1e-3 / 3_600,
    "mL/s": 1e-6,
    "ft³/min": 0.028_316_846_592 / 60,
    "gal/min": 0.003_785_411_784 / 60,
    "gal/h": 0.003_785_411_784 / 3_600,
    "gal/d": 0.003_785_411_784 / 86_400,
  },
  mass: { g: 1, kg: 1_000, mg: 1e-3, µg: 1e-6, oz: 28.349_523_125, lb: 453.592_37, st: 6_350.293_18 },
  density: { "g/m³": 1, "mg/m³": 1e-3, "µg/m³": 1e-6 },
  pressure: {
    Pa: 1,
    mPa: 1e-3,
    hPa: 100,
    kPa: 1_000,
    mbar: 100,
    cbar: 1_000,
    bar: 100_000,
    psi: 6_894.757_293_168_361,
    mmHg: 133.322_387_415,
    inHg: 3_386.388_640_341,
    "inH₂O": 249.088_91,
  },
  speed: {
    "m/s": 1,
    "km/h": 1 / 3.6,
    "mm/s": 1e-3,
    "mm/h": 1e-3 / 3_600,
    "mm/d": 1e-3 / 86_400,
    mph: 0.447_04,
    kn: 1_852 / 3_600,
    "ft/s": 0.3048,
    "in/s": 0.0254,
    "in/h": 0.0254 / 3_600,
    "in/d": 0.0254 / 86_400,
  },
  energy: {
    J: 1,
    kJ: 1e3,
    MJ: 1e6,
    GJ: 1e9,
    mWh: 3.6,
    Wh: 3_600,
    kWh: 3.6e6,
    MWh: 3.6e9,
    GWh: 3.6e12,
    TWh: 3.6e15,
    cal: 4.184,
    kcal: 4_184,
    Mcal: 4.184e6,
    Gcal: 4.184e9,
  },
  power: { W: 1, mW: 1e-3, kW: 1e3, MW: 1e6, GW: 1e9, TW: 1e12 },
  "apparent power": { VA: 1, mVA: 1e-3, kVA: 1e3 },
  "reactive power": { var: 1, mvar: 1e-3, kvar: 1e3 },
  "reactive energy": { varh: 1, kvarh: 1e3 },
  voltage: { V: 1, mV: 1e-3, µV: 1e-6, kV: 1e3, MV: 1e6 },
  current: { A: 1, mA: 1e-3, µA: 1e-6 },
  conductivity: { "S/cm": 1, "mS/cm": 1e-3, "µS/cm": 1e-6 },
  frequency: { Hz: 1, mHz: 1e-3, kHz: 1e3, MHz: 1e6, GHz: 1e9 },
  irradiance: { "W/m²": 1, "BTU/(h⋅ft²)": 1_055.055_852_62 / (3_600 * 0.092_903_04) },
  duration: { s: 1, µs: 1e-6, ms: 1e-3, min: 60, h: 3_600, d: 86_400 },
  data: {
    bit: 1,
    kbit: 1e3,
    Mbit: 1e6,
    Gbit: 1e9,
    B: 8,
    kB: 8e3,
    MB: 8e6,
    GB: 8e9,
    TB: 8e12,
    PB: 8e15,
    EB: 8e18,
    ZB: 8e21,
    YB: 8e24,
    KiB: 2 ** 13,
    MiB: 2 ** 23,
    GiB: 2 ** 33,
    TiB: 2 ** 43,
    PiB: 2 ** 53,
    EiB: 2 ** 63,
    ZiB: 2 ** 73,
    YiB: 2 ** 83,
  },
  "data rate": {
    "bit/s": 1,
    "kbit/s": 1e3,
    "Mbit/s": 1e6,
    "Gbit/s": 1e9,
    "B/s": 8,
    "kB/s": 8e3,
    "MB/s": 8e6,
    "GB/s": 8e9,
    "KiB/s": 2 ** 13,
    "MiB/s": 2 ** 23,
    "GiB/s": 2 ** 33,
  },
  ratio: { "%": 0.01, ppm: 1e-6, ppb: 1e-9 },
  radioactivity: { "Bq/m³": 1, "pCi/L": 37 },
  temperature: { "°C": 1, "°F": 1 / 1.8, K: 1 },
} as const satisfies Readonly<Record<string, Readonly<Record<string, number>>>>;

interface Measure {
  readonly quantity: string;
  readonly factor: number;
}

const MEASURES = new Map<string, Measure>(
  Object.entries(QUANTITIES).flatMap(([quantity, units]) =>
    Object.entries(units).map(([unit, factor]): [string, Measure] => [unit, { quantity, factor }]),
  ),
);

/** The micro sign is written as two characters that look the same. */
export const canonicalUnit = (unit: string): string => unit.replaceAll("\u03BC", "\u00B5");

/** The units that `unit` can be converted into, itself among them; none for one that is not known. */
export function unitsLike(unit: string): readonly string[] {
  const measure = MEASURES.get(unit);
  return measure === undefined ? [] : Object.keys(QUANTITIES[measure.quantity as keyof typeof QUANTITIES]);
}

export const canConvert = (from: string, to: string): boolean => from === to || unitsLike(from).includes(to);

export interface Conversion {
  readonly from: string;
  readonly to: string;
  /** A difference between two temperatures, which has no zero point of its own. */
  readonly isDifference?: boolean | undefined;
}

/** The value in the other unit, without the noise of binary fractions: 15 significant digits. undefined for units of different quantities. */
export function convert(value: number, { from, to, isDifference = false }: Conversion): number | undefined {
  if (from === to) return value;
  const [source, target] = [MEASURES.get(from), MEASURES.get(to)];
  if (!source || source.quantity !== target?.quantity) return undefined;
  if (source.quantity !== "temperature") return tidy((value * source.factor) / target.factor);
  const celsius = isDifference ? value * source.factor : celsiusOf(value, from);
  return tidy(isDifference ? celsius / target.factor : fromCelsius(celsius, to));
}

/** What is left of a number without the last digit or two, which a calculation has made. */
export const tidy = (value: number): number => Number(value.toPrecision(15));

const celsiusOf = (value: number, unit: string): number =>
  unit === "°F" ? (value - 32) / 1.8 : unit === "K" ? value - ZERO_CELSIUS_K : value;

const fromCelsius = (celsius: number, unit: string): number =>
  unit === "°F" ? celsius * 1.8 + 32 : unit === "K" ? celsius + ZERO_CELSIUS_K : celsius;

const ZERO_CELSIUS_K = 273.15;

export const UNIT_SYSTEMS = ["metric", "imperial"] as const;
export type UnitSystem = (typeof UNIT_SYSTEMS)[number];

/** What somebody of the one system reads instead; other units are read by everybody. */
const PREFERRED: Readonly<Record<UnitSystem, Readonly<Record<string, string>>>> = {
  metric: {
    "°F": "°C",
    in: "mm",
    ft: "m",
    yd: "m",
    mi: "km",
    "in²": "cm²",
    "ft²": "m²",
    "yd²": "m²",
    ac: "ha",
    "mi²": "km²",
    "fl. oz.": "mL",
    gal: "L",
    "ft³": "m³",
    CCF: "m³",
    MCF: "m³",
    "ft³/min": "m³/h",
    "gal/min": "L/min",
    "gal/h": "L/h",
    "gal/d": "L/h",
    oz: "g",
    lb: "kg",
    st: "kg",
    psi: "kPa",
    inHg: "hPa",
    "inH₂O": "Pa",
    mph: "km/h",
    "ft/s": "m/s",
    "in/s": "mm/s",
    "in/h": "mm/h",
    "in/d": "mm/d",
    "BTU/(h⋅ft²)": "W/m²",
  },
  imperial: {
    "°C": "°F",
    mm: "in",
    cm: "in",
    m: "ft",
    km: "mi",
    "cm²": "in²",
    "mm²": "in²",
    "m²": "ft²",
    ha: "ac",
    "km²": "mi²",
    mL: "fl. oz.",
    L: "gal",
    "m³": "ft³",
    "m³/h": "ft³/min",
    "m³/min": "ft³/min",
    "m³/s": "ft³/min",
    "L/s": "gal/min",
    "L/min": "gal/min",
    "L/h": "gal/h",
    "mL/s": "gal/h",
    g: "oz",
    kg: "lb",
    kPa: "psi",
    bar: "psi",
    hPa: "inHg",
    mbar: "inHg",
    "km/h": "mph",
    "m/s": "mph",
    "mm/s": "in/s",
    "mm/h": "in/h",
    "mm/d": "in/d",
    "W/m²": "BTU/(h⋅ft²)",
  },
};

/** The unit in which a value of this one is shown to who reads by the system. */
export const preferredUnit = (unit: string, system: UnitSystem): string => PREFERRED[system][unit] ?? unit;
