import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { HubError } from "../../core/errors.ts";
import { effectiveSensor, parseMetadata, parseSensorSettings, reportedSensors, type SensorMetadata } from "../../core/sensor.ts";

const refused = (path: string, message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof HubError, String(error));
  assert.deepEqual([error.code, (error.details as { path: string }[])[0]?.path], ["validation_error", path]);
  assert.match(error.message, message);
  return true;
};

describe("what is said of a sensor", () => {
  test("is taken where its parts go together as in Home Assistant", () => {
    const fine: SensorMetadata[] = [
      {},
      { name: "Cellar", unit_of_measurement: "of my own" },
      { device_class: "temperature", unit_of_measurement: "°F", state_class: "measurement", display_precision: 1 },
      { device_class: "energy", unit_of_measurement: "kWh", state_class: "total_increasing" },
      { device_class: "monetary", unit_of_measurement: "CHF", state_class: "total" },
      { device_class: "power_factor" },
      { device_class: "wind_direction", unit_of_measurement: "°", state_class: "measurement_angle" },
      { device_class: "pm4", unit_of_measurement: "µg/m³" },
      { device_class: "motion" },
      { platform: "binary_sensor", device_class: "battery", hidden: true },
    ];
    for (const one of fine) assert.deepEqual(parseMetadata(one), one);
    assert.equal(parseMetadata({ device_class: "pm1", unit_of_measurement: "\u03BCg/m³" }).unit_of_measurement, "\u00B5g/m³");
  });

  test("is refused with what is wrong and what would be right", () => {
    const wrong: [SensorMetadata, string, RegExp][] = [
      [{ device_class: "temperature", unit_of_measurement: "hPa" }, "/unit_of_measurement", /one of °C, °F, K: hPa$/],
      [{ device_class: "aqi", unit_of_measurement: "ppm" }, "/unit_of_measurement", /which has no unit: ppm$/],
      [{ device_class: "monetary", unit_of_measurement: "€" }, "/unit_of_measurement", /currency code/],
      [{ device_class: "warmth" }, "/device_class", /no device class of a sensor in Home Assistant: warmth/],
      [{ device_class: "constructor" }, "/device_class", /constructor/],
      [{ platform: "sensor", device_class: "motion" }, "/device_class", /of a sensor/],
      [{ platform: "binary_sensor", device_class: "temperature" }, "/device_class", /of a binary_sensor/],
      [{ device_class: "motion", unit_of_measurement: "%" }, "/unit_of_measurement", /not for a binary_sensor/],
      [{ device_class: "door", state_class: "measurement" }, "/state_class", /not for a binary_sensor/],
      [{ device_class: "energy", state_class: "measurement" }, "/state_class", /total or total_increasing: measurement/],
      [{ device_class: "timestamp", state_class: "total" }, "/state_class", /which has none/],
    ];
    for (const [sensor, path, message] of wrong) assert.throws(() => parseMetadata(sensor), refused(path, message));
  });

  test("by a person is held against what the device says, too", () => {
    const base = { device_class: "temperature", unit_of_measurement: "°F" };
    assert.throws(() => parseSensorSettings({ unit_of_measurement: "hPa" }, base), refused("/unit_of_measurement", /temperature/));
    assert.throws(() => parseSensorSettings({ device_class: "humidity" }, base), refused("/unit_of_measurement", /humidity/));
    const both = { device_class: "humidity", unit_of_measurement: "%" };
    assert.deepEqual(parseSensorSettings(both, base), both);
    assert.throws(
      () => parseSensorSettings({ calibration: { kind: "linear", min: 2, max: 1 } }, {}),
      refused("/calibration/max", /less than min/),
    );
  });

  test("by a device is taken as far as Home Assistant knows it", () => {
    const sensors = [
      { key: "t", unit: "°C", device_class: "temperature", name: "Warmth" },
      { key: "p", unit: "hPa", device_class: "temperature" },
      { key: "x", unit: "", device_class: "of_mine" },
      { key: "m", device_class: "motion", state_class: "total" as const },
    ];
    assert.deepEqual(
      [...reportedSensors({ sensors })],
      [
        ["t", { unit_of_measurement: "°C", device_class: "temperature", name: "Warmth" }],
        ["p", { unit_of_measurement: "hPa" }],
        ["x", {}],
        ["m", { device_class: "motion" }],
      ],
    );
  });

  test("by a person wins, also when the device changes its mind", () => {
    const base = { name: "t1", device_class: "temperature", unit_of_measurement: "°C" };
    assert.deepEqual(effectiveSensor(base, { name: "Cellar", unit_of_measurement: "°F" }), {
      platform: "sensor",
      name: "Cellar",
      device_class: "temperature",
      unit_of_measurement: "°F",
    });
    assert.deepEqual(effectiveSensor({ ...base, device_class: "humidity", unit_of_measurement: "%" }, { unit_of_measurement: "°F" }), {
      platform: "sensor",
      name: "t1",
      unit_of_measurement: "°F",
    });
    assert.deepEqual(effectiveSensor({}, {}), { platform: "sensor" });
    assert.equal(effectiveSensor({ device_class: "door" }, {}).platform, "binary_sensor");
  });
});
