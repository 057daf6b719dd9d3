/*
 * Home Assistant's device classes of sensors and binary sensors, with the units that each may have
 * (developers.home-assistant.io/docs/core/entity/sensor, of August 2026).
 */

const TEMPERATURES = ["°C", "°F", "K"];
const PRESSURES = ["Pa", "mPa", "hPa", "kPa", "mbar", "cbar", "bar", "psi", "mmHg", "inHg", "inH₂O"];
const ENERGIES = ["J", "kJ", "MJ", "GJ", "mWh", "Wh", "kWh", "MWh", "GWh", "TWh", "cal", "kcal", "Mcal", "Gcal"];
const LENGTHS = ["km", "m", "cm", "mm", "mi", "nmi", "yd", "ft", "in"];
const VOLUMES = ["L", "mL", "gal", "fl. oz.", "m³", "ft³", "CCF", "MCF"];
const WIND_SPEEDS = ["m/s", "km/h", "mph", "kn", "ft/s"];
const DUST = ["µg/m³"];
const GASES = ["ppb", "ppm", "µg/m³"];

const SENSOR_CLASSES: Readonly<Record<string, readonly string[] | "currency">> = {
  absolute_humidity: ["g/m³", "mg/m³"],
  apparent_power: ["mVA", "VA", "kVA"],
  aqi: [],
  area: ["m²", "cm²", "km²", "mm²", "in²", "ft²", "yd²", "mi²", "ac", "ha"],
  atmospheric_pressure: PRESSURES,
  battery: ["%"],
  blood_glucose_concentration: ["mg/dL", "mmol/L"],
  carbon_dioxide: ["ppm"],
  carbon_monoxide: [...GASES, "mg/m³"],
  conductivity: ["S/cm", "mS/cm", "µS/cm"],
  current: ["A", "mA", "µA"],
  data_rate: ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "B/s", "kB/s", "MB/s", "GB/s", "KiB/s", "MiB/s", "GiB/s"],
  data_size: "bit kbit Mbit Gbit B kB MB GB TB PB EB ZB YB KiB MiB GiB TiB PiB EiB ZiB YiB".split(" "),
  date: [],
  distance: LENGTHS,
  duration: ["d", "h", "min", "s", "ms", "µs"],
  energy: ENERGIES,
  energy_distance: ["kWh/100km", "Wh/km", "mi/kWh", "km/kWh"],
  energy_storage: ENERGIES,
  enum: [],
  frequency: ["mHz", "Hz", "kHz", "MHz", "GHz"],
  gas: ["L", "m³", "ft³", "CCF", "MCF"],
  humidity: ["%"],
  illuminance: ["lx"],
  irradiance: ["W/m²", "BTU/(h⋅ft²)"],
  moisture: ["%"],
  monetary: "currency",
  nitrogen_dioxide: GASES,
  nitrogen_monoxide: ["ppb", "µg/m³"],
  nitrous_oxide: DUST,
  ozone: GASES,
  ph: [],
  pm1: DUST,
  pm25: DUST,
  pm4: DUST,
  pm10: DUST,
  power: ["mW", "W", "kW", "MW", "GW", "TW"],
  power_factor: ["%"],
  precipitation: ["cm", "in", "mm"],
  precipitation_intensity: ["in/d", "in/h", "mm/d", "mm/h"],
  pressure: PRESSURES,
  radon: ["Bq/m³", "pCi/L"],
  reactive_energy: ["varh", "kvarh"],
  reactive_power: ["mvar", "var", "kvar"],
  signal_strength: ["dB", "dBm"],
  sound_pressure: ["dB", "dBA"],
  speed: [...WIND_SPEEDS, "mm/s", "mm/h", "mm/d", "in/s", "in/h", "in/d"],
  sulphur_dioxide: ["ppb", "µg/m³"],
  temperature: TEMPERATURES,
  temperature_delta: TEMPERATURES,
  timestamp: [],
  uptime: [],
  volatile_organic_compounds: ["µg/m³", "mg/m³"],
  volatile_organic_compounds_parts: ["ppm", "ppb"],
  voltage: ["V", "mV", "µV", "kV", "MV"],
  volume: VOLUMES,
  volume_flow_rate: ["m³/h", "m³/min", "m³/s", "ft³/min", "L/h", "L/min", "L/s", "gal/d", "gal/h", "gal/min", "mL/s"],
  volume_storage: VOLUMES,
  water: ["L", "gal", "m³", "ft³", "CCF", "MCF"],
  weight: ["kg", "g", "mg", "µg", "oz", "lb", "st"],
  wind_direction: ["°"],
  wind_speed: WIND_SPEEDS,
};

const BINARY_CLASSES: ReadonlySet<string> = new Set(
  `battery battery_charging carbon_monoxide cold connectivity door garage_door gas heat light lock moisture motion moving occupancy
  opening plug power presence problem running safety smoke sound tamper update vibration window`.split(/\s+/),
);

export const STATE_CLASSES = ["measurement", "measurement_angle", "total", "total_increasing"] as const;
export type StateClass = (typeof STATE_CLASSES)[number];

/** Where not every state class makes sense; all others measure, or are whatever they say. */
const STATE_CLASSES_OF: Readonly<Record<string, readonly StateClass[]>> = {
  ...Object.fromEntries(["date", "enum", "timestamp", "uptime"].map((name) => [name, []])),
  ...Object.fromEntries(["energy", "gas", "volume", "water", "reactive_energy"].map((name) => [name, ["total", "total_increasing"]])),
  ...Object.fromEntries(
    ["area", "data_size", "distance", "duration", "precipitation", "weight"].map((name) => [
      name,
      ["measurement", "total", "total_increasing"],
    ]),
  ),
  monetary: ["total"],
  wind_direction: ["measurement_angle"],
};
const MEASURED: readonly StateClass[] = ["measurement"];

export const PLATFORMS = ["sensor", "binary_sensor"] as const;
export type SensorPlatform = (typeof PLATFORMS)[number];

export function isDeviceClass(platform: SensorPlatform, name: string): boolean {
  return platform === "binary_sensor" ? BINARY_CLASSES.has(name) : Object.hasOwn(SENSOR_CLASSES, name);
}

/** What a class says of a sensor that does not say it itself. */
export const platformOf = (deviceClass: string | undefined): SensorPlatform =>
  deviceClass !== undefined && BINARY_CLASSES.has(deviceClass) && !Object.hasOwn(SENSOR_CLASSES, deviceClass) ? "binary_sensor" : "sensor";

/** In words, for whoever has chosen another one. */
export function unitsOfClass(deviceClass: string): { readonly isIn: (unit: string) => boolean; readonly words: string } {
  const units = Object.hasOwn(SENSOR_CLASSES, deviceClass) ? SENSOR_CLASSES[deviceClass] : undefined;
  if (units === undefined) return { isIn: () => false, words: "no unit" };
  if (units === "currency") return { isIn: (unit) => /^[A-Z]{3}$/.test(unit), words: "a currency code of three letters" };
  return { isIn: (unit) => units.includes(unit), words: units.length === 0 ? "no unit" : `one of ${units.join(", ")}` };
}

export function stateClassesOf(deviceClass: string): readonly StateClass[] {
  return (Object.hasOwn(STATE_CLASSES_OF, deviceClass) ? STATE_CLASSES_OF[deviceClass] : undefined) ?? MEASURED;
}

/** For tests and documentation. */
export const SENSOR_CLASS_NAMES: readonly string[] = Object.keys(SENSOR_CLASSES);
