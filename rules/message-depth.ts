/**
 * How many automations stand before the message that is handed out at this moment. Messages reach the hub's own subscribers on this node
 * within the call that publishes them, so that nothing has to be remembered of any.
 */
export class MessageDepth {
  #now = 0;

  get now(): number {
    return this.#now;
  }

  /** Publishes at that depth; what is awaited inside is outside of it. */
  at<T>(depth: number, publish: () => T): T {
    const before = this.#now;
    this.#now = depth;
    try {
      return publish();
    } finally {
      this.#now = before;
    }
  }
}
