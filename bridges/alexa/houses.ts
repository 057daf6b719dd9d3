import { LRUCache } from "lru-cache";
import type { Following, Home, HomeDirectory } from "../../store/home-directory.ts";

const MOST = 100;
const KEPT_MS = 10 * 60_000;

/** The homes that were asked for lately, so that a directive does not wait for them to be read. */
export class Houses implements Disposable {
  readonly #homes: HomeDirectory;
  readonly #kept = new LRUCache<string, { readonly following: Promise<Following> }>({
    max: MOST,
    ttl: KEPT_MS,
    ttlAutopurge: true,
    updateAgeOnGet: true,
    dispose: ({ following }) => void following.then((one) => one[Symbol.dispose]()),
  });

  constructor(homes: HomeDirectory) {
    this.#homes = homes;
  }

  async of(organizationId: string): Promise<Home> {
    let kept = this.#kept.get(organizationId);
    if (!kept) {
      kept = { following: this.#homes.follow(organizationId, () => undefined) };
      this.#kept.set(organizationId, kept);
    }
    return (await kept.following).home;
  }

  [Symbol.dispose](): void {
    this.#kept.clear();
  }
}
