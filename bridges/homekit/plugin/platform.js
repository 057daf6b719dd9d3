// Before everything else of the library, whose modules import each other in a circle.
import { Platform } from "homebridge-lib/Platform";
import { readFileSync } from "node:fs";
import { HexahubAccessory } from "./accessory.js";
import { HubLink } from "./hub-link.js";
import { isAccessory, listOf } from "./list.js";

/** A hub that starts again is back by then. */
const HUB_GRACE_MS = 1_000;
/** For so long after a list the devices have to be heard of that are there. */
const HEAR_MS = 1_500;

/**
 * @typedef {import("./list.js").Accessory} Accessory
 * @typedef {object} Config  the platform's part of Homebridge's config.json
 * @property {string} url  of the hub's MQTT listener: mqtt://host:1883 or mqtts://host:8883
 * @property {string} username  the name of a service account of the hub
 * @property {string} token
 * @property {string} [ca]  path of the certificate of the hub's authority
 * @property {string} [topic]  of the list of accessories; without it the first bridge's
 * @property {boolean} [supervised]  whether the hub itself runs this, and hears how it is
 */

/** The devices of a hub in HomeKit. */
export class HexahubPlatform extends Platform {
  /** @type {import("homebridge-lib/Platform").Hap} */
  hap;
  #homebridge;
  /** @type {Map<string, HexahubAccessory>} */
  #accessories = new Map();
  /** By the topics that they hear. @type {Map<string, Set<HexahubAccessory>>} */
  #hearing = new Map();
  /** @type {HubLink | undefined} */
  #link;
  /** @type {NodeJS.Timeout | undefined} */
  #away;
  /** @type {NodeJS.Timeout | undefined} */
  #hears;
  #isHubThere = true;
  #isHeard = false;
  #isInitialised = false;
  #isListed = false;
  #hasBeaten = false;
  #isSupervised = false;
  #beats = 0;
  #told = "";
  /** Those that HomeKit does not take, since there are too many. @type {Set<string>} */
  #unexposed = new Set();

  /**
   * @param {import("homebridge-lib/Platform").Logger} log
   * @param {Partial<Config> | null} config
   * @param {import("homebridge-lib/Platform").Homebridge} homebridge
   */
  constructor(log, config, homebridge) {
    super(log, config, homebridge);
    this.hap = homebridge.hap;
    this.#homebridge = homebridge;
    // Else the library asks npm for a newer version of this.
    this.npmRegistry = { get: async () => ({ body: {} }) };
    this.on("accessoryRestored", (_className, _version, id, _name, context) => this.#restore(id, context));
    homebridge.on("didFinishLaunching", () => this.#start(config ?? {}));
    this.#isSupervised = config?.supervised === true;
    this.on("heartbeat", () => {
      this.#hasBeaten = true;
      this.#initialise();
      this.#beats++;
      this.#tellSupervisor();
    });
    this.on("shutdown", () => {
      this.#link?.removeAllListeners();
      void this.#link?.close();
    });
  }

  /** Where writes go. @type {import("./accessory.js").Hub} */
  get hub() {
    return { publish: async (topic, payload) => await this.#getLink().publish(topic, payload) };
  }

  /** At once when something changes, and every five seconds, so that one that hangs is noticed. */
  #tellSupervisor() {
    const health = { hub: this.#link?.isUp === true, accessories: this.#accessories.size, unexposed: this.#unexposed.size };
    const text = JSON.stringify(health);
    if (!this.#isSupervised || (text === this.#told && this.#beats % 5 !== 0)) return;
    this.#told = text;
    process.send?.({ id: "hexahub", data: health });
  }

  /**
   * Whatever is not made again is removed by the library, with its rooms and automations.
   * @param {string} id
   * @param {Readonly<Record<string, unknown>>} context
   */
  #restore(id, context) {
    const listed = context["listed"];
    if (isAccessory(listed)) this.#add(listed);
    else this.warn("%s: what it is made of is not known", id);
  }

  /** @param {Partial<Config>} config */
  #start({ url, username, token, ca, topic = "hexa-app/+/homekit/0" }) {
    if (url === undefined || username === undefined || token === undefined) {
      this.error("config.json: url, username and token of the hub are needed");
      return;
    }
    const link = new HubLink({ url, username, token, ca: ca === undefined ? undefined : readFileSync(ca, "utf8"), list: topic });
    this.#link = link;
    link.on("list", (value) => this.#take(value));
    link.on("message", (heard, text, isRetained) => this.#hear(heard, text, isRetained));
    link.on("up", () => this.#hubCame());
    link.on("down", (why) => this.#hubWent(why));
  }

  #getLink() {
    if (!this.#link) throw new Error("the hub is not connected yet");
    return this.#link;
  }

  /** @param {unknown} value */
  #take(value) {
    const list = listOf(value);
    if (!list) {
      this.warn("the hub's list of accessories cannot be read");
      return;
    }
    const listed = new Map(list.accessories.map((one) => [one.uid, one]));
    for (const [uid, accessory] of this.#accessories) if (!listed.has(uid)) this.#remove(accessory);
    for (const [uid, one] of listed) {
      const known = this.#accessories.get(uid);
      if (!known) this.#add(one);
      else if (JSON.stringify(known.listed) !== JSON.stringify(one)) this.#change(known, one);
    }
    this.#homebridge.updatePlatformAccessories([]);
    this.#isListed = true;
    this.#initialise();
    this.#getLink().follow(list.follow);
    clearTimeout(this.#hears);
    this.#hears = setTimeout(() => {
      this.#isHeard = true;
      this.#reachAll();
    }, HEAR_MS);
    this.#tellAll();
    this.#tellSupervisor();
  }

  /** The library then removes what was not made again: not before the hub has said what there is, and not before the library listens. */
  #initialise() {
    if (this.#isInitialised || !this.#isListed || !this.#hasBeaten) return;
    this.#isInitialised = true;
    this.emit("initialised");
  }

  /** @param {Accessory} listed */
  #add(listed) {
    const accessory = new HexahubAccessory(this, listed);
    accessory.on("exposeError", (error) => {
      this.#unexposed.add(listed.uid);
      this.warn("%s: HomeKit does not take it: %s", listed.uid, error);
    });
    this.#accessories.set(listed.uid, accessory);
    this.#listen(accessory);
    // The library links it to Homebridge's, or makes one.
    accessory.emit("initialised");
  }

  /**
   * @param {HexahubAccessory} accessory
   * @param {Accessory} listed
   */
  #change(accessory, listed) {
    this.#unlisten(accessory);
    accessory.update(listed);
    this.#listen(accessory);
  }

  /** @param {HexahubAccessory} accessory */
  #remove(accessory) {
    const { uid } = accessory.listed;
    this.#unlisten(accessory);
    this.#accessories.delete(uid);
    this.#unexposed.delete(uid);
    accessory.destroy();
  }

  /** @param {HexahubAccessory} accessory */
  #listen(accessory) {
    for (const topic of topicsOf(accessory.listed)) this.#hearing.set(topic, (this.#hearing.get(topic) ?? new Set()).add(accessory));
  }

  /** @param {HexahubAccessory} accessory */
  #unlisten(accessory) {
    for (const topic of topicsOf(accessory.listed)) {
      const hearing = this.#hearing.get(topic);
      hearing?.delete(accessory);
      if (hearing?.size === 0) this.#hearing.delete(topic);
    }
  }

  /**
   * @param {string} topic
   * @param {string} text
   * @param {boolean} isRetained
   */
  #hear(topic, text, isRetained) {
    for (const accessory of this.#hearing.get(topic) ?? []) {
      if (topic === accessory.listed.availability) this.#reach(accessory);
      else accessory.hear(topic, text, isRetained);
    }
  }

  /** Those that are new, or that were not there before, hear what was said already. */
  #tellAll() {
    for (const accessory of this.#accessories.values())
      for (const topic of topicsOf(accessory.listed)) {
        const text = this.#link?.known(topic);
        if (text !== undefined) this.#hear(topic, text, true);
      }
    this.#reachAll();
  }

  #reachAll() {
    for (const accessory of this.#accessories.values()) this.#reach(accessory);
  }

  /** @param {HexahubAccessory} accessory */
  #reach(accessory) {
    const availability = this.#link?.known(accessory.listed.availability);
    if (!this.#isHubThere) accessory.reach(false);
    else if (availability !== undefined) accessory.reach(availability === "online");
    else if (this.#isHeard) accessory.reach(false);
  }

  #hubCame() {
    clearTimeout(this.#away);
    this.#away = undefined;
    this.#isHubThere = true;
    this.log("the hub is connected");
  }

  /** @param {string} why */
  #hubWent(why) {
    if (this.#away !== undefined) return;
    this.warn("the hub is away: %s", why);
    this.#isHeard = false;
    clearTimeout(this.#hears);
    this.#away = setTimeout(() => {
      this.#isHubThere = false;
      this.#reachAll();
    }, HUB_GRACE_MS);
  }
}

/** @param {Accessory} listed */
const topicsOf = ({ availability, services }) => new Set([availability, ...services.map(({ state }) => state)]);
