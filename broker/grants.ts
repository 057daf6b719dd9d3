import type { Principal } from "../core/principal.ts";
import type { Topic } from "../core/topics.ts";
import { mayPublish, type Rights, versionOf } from "../core/authorize.ts";

/** What a client may do on one topic. */
export interface Grant {
  /** undefined: not a topic of the hub. */
  readonly topic: Topic | undefined;
  readonly mayPublish: boolean;
}

const MAX_REMEMBERED = 256;
/** Whoever has used so many other topics since then may use others by now: the memory begins anew. */
const MAX_MISSES = 16 * MAX_REMEMBERED;

/** The decisions about one client's publishes, remembered by topic until who sees which device changes. */
export class Grants {
  readonly #rights: Rights;
  readonly #principal: Principal;
  readonly #byTopic = new Map<string, Grant>();
  #version: number;
  #misses = 0;

  constructor(rights: Rights, principal: Principal) {
    this.#rights = rights;
    this.#principal = principal;
    this.#version = versionOf(rights);
  }

  of(name: string): Grant {
    const version = versionOf(this.#rights);
    if (version !== this.#version) this.#forget(version);
    return this.#byTopic.get(name) ?? this.#remember(name, this.#decide(name));
  }

  #remember(name: string, grant: Grant): Grant {
    // More topics than there is room for: to forget and learn them by turns costs more than to decide.
    if (this.#byTopic.size < MAX_REMEMBERED) this.#byTopic.set(name, grant);
    else if (++this.#misses > MAX_MISSES) this.#forget(this.#version);
    return grant;
  }

  #forget(version: number): void {
    this.#version = version;
    this.#misses = 0;
    this.#byTopic.clear();
  }

  #decide(name: string): Grant {
    const topic = this.#rights.topics.parse(name);
    return { topic, mayPublish: topic !== undefined && mayPublish(this.#rights, this.#principal, topic) };
  }
}
