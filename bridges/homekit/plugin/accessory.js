import { AccessoryDelegate } from "homebridge-lib/AccessoryDelegate";
import { ServiceDelegate } from "homebridge-lib/ServiceDelegate";
import "homebridge-lib/ServiceDelegate/ServiceLabel";
import { LastWord } from "./last-word.js";
import { KINDS } from "./services.js";

/** A slider that is dragged says something twenty times a second. */
const WRITE_EVERY_MS = 150;
/** For so long after a write the hub's states are not shown that say something else: they are echoes of what was written before. */
const ECHO_MS = 900;

/**
 * @typedef {import("./list.js").Accessory} Accessory
 * @typedef {import("./list.js").Service} Listed
 * @typedef {import("./services.js").Value} Value
 * @typedef {import("./services.js").Change} Change
 * @typedef {{ publish(topic: string, payload: string): Promise<void> }} Hub
 */

/** A device in HomeKit. */
export class HexahubAccessory extends AccessoryDelegate {
  /** @type {Map<string, Part>} */
  #parts = new Map();
  #isReachable = true;
  /** At most one. @type {ServiceDelegate[]} */
  #labels = [];
  #platform;

  /**
   * @param {import("./platform.js").HexahubPlatform} platform
   * @param {Accessory} listed
   */
  constructor(platform, listed) {
    const { uid, name, model, firmware } = listed;
    super(platform, { id: uid, name: nameOf(name), manufacturer: "Hexahub", model, firmware, logLevel: 0 });
    this.#platform = platform;
    this.update(listed);
  }

  /** @returns {Accessory} */
  get listed() {
    return /** @type {Accessory} */ (this.context["listed"]);
  }

  /**
   * Services that it has already stay the same ones: rooms and automations hang on them.
   * @param {Accessory} listed
   */
  update(listed) {
    const known = new Map(listed.services.filter(({ kind }) => Object.hasOwn(KINDS, kind)).map((one) => [keyOf(one), one]));
    for (const [key, part] of this.#parts)
      if (!known.has(key)) {
        part.destroy();
        this.#parts.delete(key);
      }
    if (listed.services.filter(({ kind }) => kind === "button").length > 1) this.#addLabels();
    for (const [key, service] of known) {
      const part = this.#parts.get(key);
      if (part) part.update(service);
      else this.#parts.set(key, this.#newPart(service));
    }
    this.values["model"] = listed.model;
    this.values["firmware"] = listed.firmware;
    // What somebody has called it in HomeKit stays, until the hub has another name for it.
    if (this.context["listed"] !== undefined && this.listed.name !== listed.name) this.values["name"] = nameOf(listed.name);
    // What it is made of when Homebridge starts again, before the hub is heard of.
    this.context["listed"] = listed;
  }

  /**
   * What the hub says on a topic of this accessory.
   * @param {string} topic
   * @param {string} text
   * @param {boolean} isRetained
   */
  hear(topic, text, isRetained) {
    for (const part of this.#parts.values()) if (part.listed.state === topic) part.hear(text, isRetained);
  }

  /**
   * Whether device and hub are there; without them everything of it reads as "No Response".
   * @param {boolean} isReachable
   */
  reach(isReachable) {
    if (isReachable === this.#isReachable) return;
    this.#isReachable = isReachable;
    for (const part of this.#parts.values()) part.reach(isReachable);
  }

  /** @param {Listed} service */
  #newPart(service) {
    const { hap, hub } = this.#platform;
    const part = new Part(this, { service, hap, hub, isPrimary: this.#parts.size === 0 });
    part.reach(this.#isReachable);
    return part;
  }

  #addLabels() {
    if (this.#labels.length > 0) return;
    this.#labels.push(
      new ServiceDelegate.ServiceLabel(this, {
        name: this.name,
        namespace: this.Characteristics.hap["ServiceLabelNamespace"]?.ARABIC_NUMERALS,
      }),
    );
  }
}

/** @param {Listed} service */
const keyOf = ({ kind, id }) => `${kind} ${id}`;

/** A service of an accessory: what the hub says of it, and what HomeKit asks of it. */
class Part extends ServiceDelegate {
  /** @type {Listed} */
  listed;
  #kind;
  #hap;
  #hub;
  /** @type {Map<string, import("homebridge-lib/ServiceDelegate").HapCharacteristic>} */
  #characteristics = new Map();
  /** What the hub said last. @type {Record<string, Value | undefined>} */
  #said = {};
  /** What HomeKit wrote last. @type {Record<string, Value>} */
  #wanted = {};
  #isReachable = true;
  #writes;
  /** @type {NodeJS.Timeout | undefined} */
  #echoing;

  /**
   * @param {HexahubAccessory} accessory
   * @param {{ service: Listed, hap: import("homebridge-lib/Platform").Hap, hub: Hub, isPrimary: boolean }} of
   */
  constructor(accessory, { service, hap, hub, isPrimary }) {
    const kind = /** @type {import("./services.js").Kind} */ (KINDS[service.kind]);
    super(accessory, {
      name: nameOf(service.name),
      Service: accessory.Services.hap[kind.service],
      subtype: service.id,
      primaryService: isPrimary,
    });
    this.listed = service;
    this.#kind = kind;
    this.#hap = hap;
    this.#hub = hub;
    this.#writes = new LastWord((/** @type {Change} */ change) => this.#send(change), WRITE_EVERY_MS);
    for (const [name, initial] of Object.entries(kind.initial)) this.#add(name, initial);
    if (service.input !== undefined) this.#label(service.input);
    this.#rename();
  }

  /** @param {Listed} service */
  update(service) {
    this.listed = service;
    this.#rename();
  }

  /**
   * @param {string} text
   * @param {boolean} isRetained
   */
  hear(text, isRetained) {
    const values = this.#kind.read(text, this.listed);
    const press = values["ProgrammableSwitchEvent"];
    if (press !== undefined) {
      // A press that was kept somewhere is over.
      if (!isRetained) this.#characteristics.get("ProgrammableSwitchEvent")?.sendEventNotification(press);
      return;
    }
    Object.assign(this.#said, values);
    if (Object.entries(this.#wanted).every(([name, value]) => this.#said[name] === value)) this.#endEcho();
    if (!this.#isEchoing) this.#show();
  }

  /** @param {boolean} isReachable */
  reach(isReachable) {
    if (isReachable === this.#isReachable) return;
    this.#isReachable = isReachable;
    this.#endEcho();
    this.#show();
  }

  #rename() {
    const { name } = this.listed;
    if (this.context["name"] !== undefined && this.context["name"] !== name)
      this.values["configuredName"] = this.values["name"] = nameOf(name);
    this.context["name"] = name;
  }

  get #isEchoing() {
    return this.#writes.isBusy || this.#echoing !== undefined;
  }

  #show() {
    for (const [name, characteristic] of this.#characteristics) {
      if (name === "ProgrammableSwitchEvent") continue;
      if (!this.#isReachable) characteristic.updateValue(this.#noResponse());
      else characteristic.updateValue(this.#said[name] ?? characteristic.value);
    }
  }

  /** @param {string} name @param {Value} initial */
  #add(name, initial) {
    const delegate = this.addCharacteristicDelegate({
      key: name,
      Characteristic: this.Characteristics.hap[name],
      props: this.#kind.props?.[name],
      value: initial,
      silent: true,
    });
    const characteristic = delegate._characteristic;
    this.#characteristics.set(name, characteristic);
    const change = this.#kind.write?.[name];
    if (!change) return;
    // The library calls no setter for the value that it remembers, and answers such a write for a device that is away as done.
    characteristic.removeAllListeners("set");
    characteristic.onSet(async (value) => await this.#write(name, value, change(value)));
  }

  /** @param {number} input */
  #label(input) {
    this.addCharacteristicDelegate({
      key: "index",
      Characteristic: this.Characteristics.hap["ServiceLabelIndex"],
      value: input + 1,
      silent: true,
    });
  }

  /** @param {string} name @param {Value} value @param {Change} change */
  async #write(name, value, change) {
    if (!this.#isReachable) throw this.#noResponse();
    this.#wanted[name] = typeof value === "number" && name === "On" ? value === 1 : value;
    try {
      await this.#writes.write(change);
      // What came after the echo and before the hub's answer; once HomeKit has taken what it wrote itself.
      setImmediate(() => {
        if (!this.#isEchoing) this.#show();
      });
    } catch {
      this.#endEcho();
      setImmediate(() => this.#show());
      throw this.#noResponse();
    }
  }

  /** @param {Change} change */
  async #send(change) {
    const { set } = this.listed;
    if (set === undefined || !this.#kind.payload) return;
    clearTimeout(this.#echoing);
    this.#echoing = setTimeout(() => {
      this.#endEcho();
      this.#show();
    }, ECHO_MS);
    await this.#hub.publish(set, this.#kind.payload(change));
  }

  #endEcho() {
    clearTimeout(this.#echoing);
    this.#echoing = undefined;
    this.#wanted = {};
  }

  #noResponse() {
    return new this.#hap.HapStatusError(this.#hap.HAPStatus.SERVICE_COMMUNICATION_FAILURE);
  }
}

const MAX_NAME = 64;

/**
 * What HomeKit takes as a name: letters, digits, spaces and apostrophes, with a letter or digit at both ends.
 * @param {string} name
 */
export function nameOf(name) {
  const plain = name
    .normalize("NFC")
    .replace(/[^\p{L}\p{N} '’-]/gu, " ")
    .replace(/\s+/g, " ")
    .replace(/^[^\p{L}\p{N}]+|[^\p{L}\p{N}]+$/gu, "");
  return Array.from(plain).slice(0, MAX_NAME).join("").trim() || "Device";
}
