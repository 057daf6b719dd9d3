/** A run that this node is to go on with. */
export interface RunTurn {
  readonly id: string;
  readonly organizationId: string;
}

export interface RunPlacesContext {
  /** Resolves to whether the run has more to do, and is to have another place. */
  readonly work: (turn: RunTurn) => Promise<boolean>;
  /** How many at once. */
  readonly places: number;
  /** For so long after it was entered nobody else has the run. */
  readonly heldMs: number;
  /** ms since any moment, by a clock that nobody sets. */
  readonly clock?: () => number;
}

/**
 * The runs that this node works on, and those that wait for a place: the next one is of the organisation that has the fewest, so that
 * nobody's slow runs keep the others waiting.
 */
export class RunPlaces implements AsyncDisposable {
  readonly #context: RunPlacesContext;
  readonly #clock: () => number;
  readonly #running = new Map<string, RunTurn & { readonly work: Promise<void> }>();
  /** By organisation and run, the first come first: until when it is this node's. */
  readonly #waiting = new Map<string, Map<string, number>>();
  #isClosing = false;

  constructor(context: RunPlacesContext) {
    this.#context = context;
    this.#clock = context.clock ?? (() => performance.now());
  }

  get isClosing(): boolean {
    return this.#isClosing;
  }

  /** One that is here already keeps its place. */
  enter({ id, organizationId }: RunTurn): void {
    if (this.#isClosing || this.#running.has(id)) return;
    const queue = this.#waiting.get(organizationId) ?? new Map<string, number>();
    this.#waiting.set(organizationId, queue.set(id, this.#clock() + this.#context.heldMs));
    this.#fill();
  }

  /** Another organisation waits, and has fewer places. */
  mustYield({ organizationId }: RunTurn): boolean {
    if (this.#waiting.size === 0) return false;
    const counts = this.#counts();
    const own = counts.get(organizationId) ?? 0;
    return this.#waiting.keys().some((other) => (counts.get(other) ?? 0) < own - 1);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosing = true;
    this.#waiting.clear();
    await Promise.all(this.#running.values().map(({ work }) => work));
  }

  #fill(): void {
    while (this.#running.size < this.#context.places) {
      const next = this.#next();
      if (!next) return;
      this.#running.set(next.id, { ...next, work: this.#work(next) });
    }
  }

  async #work(turn: RunTurn): Promise<void> {
    let isUnfinished = false;
    try {
      isUnfinished = await this.#context.work(turn);
    } finally {
      this.#running.delete(turn.id);
      if (isUnfinished) this.enter(turn);
      this.#fill();
    }
  }

  #next(): RunTurn | undefined {
    const counts = this.#counts();
    while (this.#waiting.size > 0) {
      const organizationId = [...this.#waiting.keys()].reduce((a, b) => ((counts.get(b) ?? 0) < (counts.get(a) ?? 0) ? b : a));
      const queue = this.#waiting.get(organizationId) as Map<string, number>;
      const [id, heldUntil] = queue.entries().next().value as [string, number];
      queue.delete(id);
      if (queue.size === 0) this.#waiting.delete(organizationId);
      // Its timer has come by now, here or on another node that does it already.
      if (heldUntil > this.#clock()) return { id, organizationId };
    }
    return undefined;
  }

  #counts(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>();
    for (const { organizationId } of this.#running.values()) counts.set(organizationId, (counts.get(organizationId) ?? 0) + 1);
    return counts;
  }
}
