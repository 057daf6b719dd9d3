/*
 * What each kind of service is in HomeKit: its characteristics, and how they follow from what the hub says and the other way round.
 */

/**
 * @typedef {import("./list.js").Service} Listed
 * @typedef {string | number | boolean} Value
 * @typedef {Readonly<Record<string, Value | undefined>>} Values  by the characteristic's name in hap-nodejs
 */

/**
 * @typedef {object} Kind
 * @property {string} service  its name in hap-nodejs
 * @property {Readonly<Record<string, Value>>} initial  characteristics with what they are until the hub says something
 * @property {Readonly<Record<string, object>>} [props]  by characteristic, what differs from HomeKit's own limits
 * @property {(text: string, listed: Listed) => Values} read  what a message of the hub says of the characteristics; `{}` for nothing
 * @property {Readonly<Record<string, (value: Value) => Change>>} [write]  what HomeKit's writes ask of the hub
 * @property {(change: Change) => string} [payload]  of the message that asks the hub for it
 */

/** @typedef {{ state?: "ON" | "OFF", brightness?: number, color_temp?: number }} Change */

/** @param {string} service @returns {Kind} */
const switchable = (service) => ({
  service,
  initial: { On: false, ...(service === "Outlet" ? { OutletInUse: true } : {}) },
  read: (text) => (text === "ON" || text === "OFF" ? { On: text === "ON" } : {}),
  write: { On: (value) => ({ state: value === true || value === 1 ? "ON" : "OFF" }) },
  payload: ({ state = "OFF" }) => state,
});

/** @param {string} service @param {string} characteristic @param {Value} off @param {Value} on @returns {Kind} */
const binary = (service, characteristic, off, on) => ({
  service,
  initial: { [characteristic]: off },
  read: (text) => (text === "ON" || text === "OFF" ? { [characteristic]: text === "ON" ? on : off } : {}),
});

/**
 * @param {string} service
 * @param {string} characteristic
 * @param {{ min: number, max: number, initial: number, convert?: (value: number, unit: string | undefined) => number }} range
 * @returns {Kind}
 */
const measured = (service, characteristic, { min, max, initial, convert = (value) => value }) => ({
  service,
  initial: { [characteristic]: initial },
  props: { [characteristic]: { minValue: min, maxValue: max } },
  read(text, { unit }) {
    const value = text.trim() === "" ? Number.NaN : convert(Number(text), unit);
    return Number.isFinite(value) ? { [characteristic]: within(value, min, max) } : {};
  },
});

/** What Apple's Home shows; HomeKit counts in mireds. */
const MIREDS = { min: 140, max: 500 };

/** @type {Kind} */
const LIGHT = {
  service: "Lightbulb",
  initial: { On: false, Brightness: 100, ColorTemperature: MIREDS.min },
  read(text) {
    const { state, brightness, color_temp: kelvin } = objectOf(text);
    return {
      ...(state === "ON" || state === "OFF" ? { On: state === "ON" } : {}),
      // A light that is off keeps the brightness that it comes back with.
      ...(typeof brightness === "number" && brightness > 0 ? { Brightness: within(Math.round(brightness), 1, 100) } : {}),
      ...(typeof kelvin === "number" && kelvin > 0 ? { ColorTemperature: within(Math.round(1e6 / kelvin), MIREDS.min, MIREDS.max) } : {}),
    };
  },
  write: {
    On: (value) => ({ state: value === true || value === 1 ? "ON" : "OFF" }),
    Brightness: (value) => ({ brightness: Number(value) }),
    ColorTemperature: (value) => ({ color_temp: Math.round(1e6 / Number(value)) }),
  },
  payload: (change) => JSON.stringify(change),
};

const PRESSES = new Map([
  ["click", 0],
  ["double_click", 1],
  ["button_hold", 2],
]);

/** @type {Kind} */
const BUTTON = {
  service: "StatelessProgrammableSwitch",
  initial: { ProgrammableSwitchEvent: 0 },
  read(text, { input }) {
    const said = objectOf(text);
    const press = PRESSES.get(String(said["event"]));
    return said["input"] === input && press !== undefined ? { ProgrammableSwitchEvent: press } : {};
  },
};

/** @param {number} value @param {string | undefined} unit */
const celsius = (value, unit) => (unit === "°F" ? (value - 32) / 1.8 : unit === "K" ? value - 273.15 : value);

/** By the `kind` of the list; a kind that is not here is of a hub that is newer than this plugin. */
export const KINDS = /** @type {Readonly<Record<string, Kind>>} */ ({
  switch: switchable("Switch"),
  outlet: switchable("Outlet"),
  light: LIGHT,
  motion: binary("MotionSensor", "MotionDetected", false, true),
  occupancy: binary("OccupancySensor", "OccupancyDetected", 0, 1),
  contact: binary("ContactSensor", "ContactSensorState", 0, 1),
  leak: binary("LeakSensor", "LeakDetected", 0, 1),
  smoke: binary("SmokeSensor", "SmokeDetected", 0, 1),
  temperature: measured("TemperatureSensor", "CurrentTemperature", { min: -100, max: 200, initial: 0, convert: celsius }),
  humidity: measured("HumiditySensor", "CurrentRelativeHumidity", { min: 0, max: 100, initial: 0 }),
  illuminance: measured("LightSensor", "CurrentAmbientLightLevel", { min: 0.0001, max: 100_000, initial: 0.0001 }),
  button: BUTTON,
});

/** @param {number} value @param {number} min @param {number} max */
const within = (value, min, max) => Math.min(max, Math.max(min, value));

/**
 * @param {string} text
 * @returns {Readonly<Record<string, unknown>>}
 */
function objectOf(text) {
  try {
    const value = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : {};
  } catch {
    return {};
  }
}
