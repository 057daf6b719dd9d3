import type { Principal } from "../core/principal.ts";
import type { Topic } from "../core/topics.ts";
import { mayPublish, type Rights, versionOf } from "./authorize.ts";

/** What a client may do on one topic. */
export interface Grant {
  /** undefined: not a topic of the hub. */
  readonly topic: Topic | undefined;
  readonly mayPublish: boolean;
}

const MAX_REMEMBERED = 256;

/** The decisions about one client's publishes, remembered by topic until who sees which device changes. */
export class Grants {
  readonly #rights: Rights;
  readonly #principal: Principal;
  #byTopic = new Map<string, Grant>();
  #version: number;

  constructor(rights: Rights, principal: Principal) {
    this.#rights = rights;
    this.#principal = principal;
    this.#version = versionOf(rights);
  }

  of(name: string): Grant {
    const version = versionOf(this.#rights);
    if (version !== this.#version || this.#byTopic.size > MAX_REMEMBERED) {
      this.#version = version;
      this.#byTopic = new Map();
    }
    let grant = this.#byTopic.get(name);
    if (!grant) this.#byTopic.set(name, (grant = this.#decide(name)));
    return grant;
  }

  #decide(name: string): Grant {
    const topic = this.#rights.topics.parse(name);
    return { topic, mayPublish: topic !== undefined && mayPublish(this.#rights, this.#principal, topic) };
  }
}
