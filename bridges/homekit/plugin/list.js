/**
 * @typedef {object} Service
 * @property {string} id  stays the same for as long as it is the same thing
 * @property {string} kind
 * @property {string} name
 * @property {string} state  topic
 * @property {string} [set]  topic
 * @property {string} [unit]
 * @property {number} [input]  which button it is
 *
 * @typedef {object} Accessory
 * @property {string} uid
 * @property {string} name
 * @property {string} model
 * @property {string} firmware
 * @property {string} availability  topic
 * @property {readonly Service[]} services
 *
 * @typedef {object} List  all that this bridge shows; what is not in it is gone
 * @property {readonly string[]} follow  filters of all topics that it names
 * @property {readonly Accessory[]} accessories
 */

/**
 * The hub's list; undefined for whatever is not one. A hub that is newer says more, which is left alone.
 * @param {unknown} value
 * @returns {List | undefined}
 */
export function listOf(value) {
  if (!isObject(value) || !areTexts(value["follow"]) || !Array.isArray(value["accessories"])) return undefined;
  return value["accessories"].every(isAccessory) ? /** @type {List} */ (/** @type {unknown} */ (value)) : undefined;
}

/**
 * @param {unknown} value
 * @returns {value is Accessory}
 */
export function isAccessory(value) {
  if (!isObject(value)) return false;
  const { services } = value;
  return (
    ["uid", "name", "model", "firmware", "availability"].every((key) => isText(value[key])) &&
    Array.isArray(services) &&
    services.every((one) => isObject(one) && ["id", "kind", "name", "state"].every((key) => isText(one[key])))
  );
}

/** @param {unknown} value @returns {value is Record<string, unknown>} */
const isObject = (value) => typeof value === "object" && value !== null;
/** @param {unknown} value */
const isText = (value) => typeof value === "string" && value !== "";
/** @param {unknown} value */
const areTexts = (value) => Array.isArray(value) && value.every(isText);
