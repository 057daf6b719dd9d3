/**
 * What Home Assistant publishes of its device classes (www.home-assistant.io/integrations/sensor, binary_sensor, switch, button, event and
 * update; developers.home-assistant.io/docs/core/entity/sensor), as of 2026.9.
 */
export const DEVICE_CLASSES: Readonly<Record<string, readonly string[]>> = {
  binary_sensor:
    words(`battery battery_charging carbon_monoxide cold connectivity door garage_door gas heat light lock moisture motion moving
    occupancy opening plug power presence problem running safety smoke sound tamper update vibration window`),
  switch: ["outlet", "switch"],
  button: ["identify", "restart", "update"],
  event: ["button", "doorbell", "motion"],
  update: ["firmware"],
};

export const STATE_CLASSES = ["measurement", "measurement_angle", "total", "total_increasing"] as const;

interface SensorClass {
  /** An empty one stands for no unit. */
  readonly units: readonly string[];
  readonly stateClasses: readonly string[];
}

const MEASURED = ["measurement"];
const COUNTED = ["total", "total_increasing"];
const ANY = [...STATE_CLASSES];
const NONE = [""];
const MICROGRAMS = ["μg/m³"];
const ENERGY = words("J kJ MJ GJ mWh Wh kWh MWh GWh TWh cal kcal Mcal Gcal");
const PRESSURE = words("mPa Pa hPa kPa bar cbar mbar mmHg inHg inH₂O psi");
const VOLUME = ["L", "mL", "gal", "fl. oz.", "m³", "ft³", "CCF", "MCF"];
const WIND = words("Beaufort ft/s km/h kn m/s mph");
const FALL = words("in/d in/h mm/d mm/h");

/** Classes whose states are no numbers have no state class. */
export const SENSOR_CLASSES: Readonly<Record<string, SensorClass>> = {
  date: { units: NONE, stateClasses: [] },
  enum: { units: NONE, stateClasses: [] },
  timestamp: { units: NONE, stateClasses: [] },
  uptime: { units: NONE, stateClasses: [] },
  absolute_humidity: { units: ["g/m³", "mg/m³"], stateClasses: MEASURED },
  apparent_power: { units: ["mVA", "VA", "kVA"], stateClasses: MEASURED },
  aqi: { units: NONE, stateClasses: MEASURED },
  area: { units: words("m² cm² km² mm² in² ft² yd² mi² ac ha"), stateClasses: ANY },
  atmospheric_pressure: { units: PRESSURE, stateClasses: MEASURED },
  battery: { units: ["%"], stateClasses: MEASURED },
  blood_glucose_concentration: { units: ["mg/dL", "mmol/L"], stateClasses: MEASURED },
  carbon_dioxide: { units: ["ppm"], stateClasses: MEASURED },
  carbon_monoxide: { units: ["ppb", "ppm", "μg/m³", "mg/m³"], stateClasses: MEASURED },
  conductivity: { units: ["S/cm", "mS/cm", "μS/cm"], stateClasses: MEASURED },
  current: { units: ["A", "mA", "μA"], stateClasses: MEASURED },
  data_rate: { units: words("bit/s kbit/s Mbit/s Gbit/s B/s kB/s MB/s GB/s KiB/s MiB/s GiB/s"), stateClasses: MEASURED },
  data_size: { units: words("bit kbit Mbit Gbit B kB MB GB TB PB EB ZB YB KiB MiB GiB TiB PiB EiB ZiB YiB"), stateClasses: ANY },
  distance: { units: words("km m cm mm mi nmi yd ft in"), stateClasses: ANY },
  duration: { units: words("d h min s ms μs"), stateClasses: ANY },
  energy: { units: ENERGY, stateClasses: COUNTED },
  energy_distance: { units: ["kWh/100km", "Wh/km", "mi/kWh", "km/kWh"], stateClasses: MEASURED },
  energy_storage: { units: ENERGY, stateClasses: MEASURED },
  frequency: { units: words("mHz Hz kHz MHz GHz"), stateClasses: MEASURED },
  gas: { units: ["L", "m³", "ft³", "CCF", "MCF"], stateClasses: COUNTED },
  humidity: { units: ["%"], stateClasses: MEASURED },
  illuminance: { units: ["lx"], stateClasses: MEASURED },
  irradiance: { units: ["W/m²", "BTU/(h⋅ft²)"], stateClasses: MEASURED },
  moisture: { units: ["%"], stateClasses: MEASURED },
  // Of ISO 4217, which is checked apart.
  monetary: { units: [], stateClasses: ["total"] },
  nitrogen_dioxide: { units: ["ppb", "ppm", "μg/m³"], stateClasses: MEASURED },
  nitrogen_monoxide: { units: ["ppb", "μg/m³"], stateClasses: MEASURED },
  nitrous_oxide: { units: MICROGRAMS, stateClasses: MEASURED },
  ozone: { units: ["ppb", "ppm", "μg/m³"], stateClasses: MEASURED },
  ph: { units: NONE, stateClasses: MEASURED },
  pm1: { units: MICROGRAMS, stateClasses: MEASURED },
  pm25: { units: MICROGRAMS, stateClasses: MEASURED },
  pm4: { units: MICROGRAMS, stateClasses: MEASURED },
  pm10: { units: MICROGRAMS, stateClasses: MEASURED },
  power: { units: words("mW W kW MW GW TW"), stateClasses: MEASURED },
  power_factor: { units: ["%", ""], stateClasses: MEASURED },
  precipitation: { units: ["cm", "in", "mm"], stateClasses: ANY },
  precipitation_intensity: { units: FALL, stateClasses: MEASURED },
  pressure: { units: PRESSURE, stateClasses: MEASURED },
  radon: { units: ["Bq/m³", "pCi/L"], stateClasses: MEASURED },
  reactive_energy: { units: ["varh", "kvarh"], stateClasses: COUNTED },
  reactive_power: { units: ["mvar", "var", "kvar"], stateClasses: MEASURED },
  signal_strength: { units: ["dB", "dBm"], stateClasses: MEASURED },
  sound_pressure: { units: ["dB", "dBA"], stateClasses: MEASURED },
  speed: { units: [...WIND, ...FALL, "in/s", "mm/s"], stateClasses: MEASURED },
  sulphur_dioxide: { units: ["ppb", "μg/m³"], stateClasses: MEASURED },
  temperature: { units: ["°C", "°F", "K"], stateClasses: MEASURED },
  temperature_delta: { units: ["°C", "°F", "K"], stateClasses: MEASURED },
  volatile_organic_compounds: { units: ["μg/m³", "mg/m³"], stateClasses: MEASURED },
  volatile_organic_compounds_parts: { units: ["ppm", "ppb"], stateClasses: MEASURED },
  voltage: { units: words("V mV μV kV MV"), stateClasses: MEASURED },
  volume: { units: VOLUME, stateClasses: COUNTED },
  volume_flow_rate: {
    units: words("m³/h m³/min m³/s ft³/min L/h L/min L/s gal/d gal/h gal/min mL/s"),
    stateClasses: MEASURED,
  },
  volume_storage: { units: VOLUME, stateClasses: MEASURED },
  water: { units: ["L", "gal", "m³", "ft³", "CCF", "MCF"], stateClasses: COUNTED },
  weight: { units: words("kg g mg μg oz lb st"), stateClasses: ["measurement", "total", "total_increasing"] },
  wind_direction: { units: ["°"], stateClasses: ["measurement_angle"] },
  wind_speed: { units: WIND, stateClasses: MEASURED },
};

/** Unicode has two signs for micro, and Home Assistant takes one for the other. */
export const canonicalUnit = (unit: string): string => unit.replaceAll("\u00B5", "\u03BC");

/** Platforms of MQTT discovery. */
export const PLATFORMS = words(`alarm_control_panel binary_sensor button camera climate cover date datetime device_automation device_tracker
  event fan humidifier image infrared lawn_mower light lock notify number remote scene select sensor siren switch tag text time update vacuum
  valve water_heater`);

export const COLOR_MODES = words("onoff brightness color_temp hs xy rgb rgbw rgbww white");

function words(text: string): readonly string[] {
  return text.trim().split(/\s+/);
}
