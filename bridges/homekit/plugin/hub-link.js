import { EventEmitter } from "node:events";
import { Socket } from "node:net";
import { connect } from "mqtt";

/** A device that nobody hears of is away by then. */
const PUBLISH_LIMIT_MS = 2_500;
const RECONNECT_MS = 1_000;
/** Of topics that something is known of; whoever fills them is one organisation, whose devices are fewer. */
const MAX_TOPICS = 50_000;

/**
 * @typedef {object} HubOptions
 * @property {string} url  mqtt:// or mqtts://
 * @property {string} username  name of the hub's service account
 * @property {string} token
 * @property {string | undefined} ca  PEM certificates
 * @property {string} list  topic of the accessories' list; it may have wildcards
 */

/**
 * The hub, as an account of it sees it: the list of accessories, and the last word on every topic of theirs.
 * Emits `list` (the parsed payload), `message` (topic, text, whether it was retained), `up` and `down`.
 * @extends {EventEmitter<{ list: [unknown], message: [string, string, boolean], up: [], down: [string] }>}
 */
export class HubLink extends EventEmitter {
  /** @type {Map<string, string>} */
  #known = new Map();
  /** @type {readonly string[]} */
  #filters = [];
  /** @type {import("mqtt").MqttClient} */
  #client;
  /** @type {string} */
  #list;

  /** @param {HubOptions} options */
  constructor({ url, username, token, ca, list }) {
    super();
    this.#list = list;
    this.#client = connect(url, {
      protocolVersion: 5,
      clientId: `homekit-${crypto.randomUUID().slice(0, 8)}`,
      username,
      password: token,
      ...(ca === undefined ? {} : { ca }),
      clean: true,
      keepalive: 15,
      connectTimeout: 5_000,
      reconnectPeriod: RECONNECT_MS,
      // An account whose token is wrong stays away until somebody mends that, or the hub has read its database.
      reconnectOnConnackError: true,
      resubscribe: false,
      queueQoSZero: false,
    });
    this.#client.on("connect", () => {
      // MQTT.js leaves Nagle's algorithm on: a command behind an acknowledgement would wait for the hub's own, 40 ms.
      if (this.#client.stream instanceof Socket) this.#client.stream.setNoDelay(true);
      this.#subscribe();
    });
    this.#client.on("message", (topic, payload, { retain }) => this.#read(topic, payload.toString(), retain));
    this.#client.on("close", () => this.emit("down", "the connection to the hub ended"));
    this.#client.on("error", (error) => this.emit("down", error.message));
  }

  get isUp() {
    return this.#client.connected;
  }

  /**
   * The last word on a topic.
   * @param {string} topic
   */
  known(topic) {
    return this.#known.get(topic);
  }

  /**
   * From now on these are heard of.
   * @param {readonly string[]} filters
   */
  follow(filters) {
    const more = filters.filter((filter) => !this.#filters.includes(filter));
    this.#filters = [...filters];
    if (more.length > 0 && this.isUp) this.#client.subscribe(more, { qos: 1 }, (error) => error && this.emit("down", error.message));
  }

  /**
   * Resolves when the hub has taken it; rejects when it refuses it, or cannot be asked in time.
   * @param {string} topic
   * @param {string} payload
   * @returns {Promise<void>}
   */
  publish(topic, payload) {
    const client = this.#client;
    if (!client.connected) return Promise.reject(new Error("the hub is away"));
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        // Nobody wants it any more when the connection is back.
        client.removeOutgoingMessage(id);
        reject(new Error("the hub does not answer"));
      }, PUBLISH_LIMIT_MS);
      client.publish(topic, payload, { qos: 1 }, (error) => {
        clearTimeout(timer);
        if (error) reject(error);
        else resolve();
      });
      const id = client.getLastMessageId();
    });
  }

  async close() {
    await this.#client.endAsync(true);
  }

  #subscribe() {
    this.#known.clear();
    this.#client.subscribe([this.#list, ...this.#filters], { qos: 1 }, (error) => {
      if (error) this.emit("down", error.message);
      else this.emit("up");
    });
  }

  /**
   * @param {string} topic
   * @param {string} text
   * @param {boolean} isRetained
   */
  #read(topic, text, isRetained) {
    if (matches(this.#list, topic)) {
      const list = parse(text);
      if (list !== undefined) this.emit("list", list);
      return;
    }
    if (text === "") this.#known.delete(topic);
    else if (this.#known.has(topic) || this.#known.size < MAX_TOPICS) this.#known.set(topic, text);
    this.emit("message", topic, text, isRetained);
  }
}

/**
 * @param {string} filter
 * @param {string} topic
 */
function matches(filter, topic) {
  const levels = topic.split("/");
  const wanted = filter.split("/");
  return wanted.length === levels.length && wanted.every((level, index) => level === "+" || level === levels[index]);
}

/**
 * @param {string} text
 * @returns {unknown}
 */
export function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
