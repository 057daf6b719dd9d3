import type { CircuitBreakerPolicy, ConsecutiveBreaker } from "cockatiel";

/** How much is under way at once on this node, and for how long a receiver that fails is left alone. */
export interface GateLimits {
  readonly perWebhook: number;
  readonly perOrganization: number;
  readonly perNode: number;
  /** So many failures in a row, and only one message is tried after each `breakMs`. */
  readonly failures: number;
  readonly breakMs: number;
}

export const GATE_LIMITS: GateLimits = { perWebhook: 2, perOrganization: 20, perNode: 200, failures: 5, breakMs: 30_000 };

export interface GatedWebhook {
  readonly id: string;
  readonly organizationId: string;
}

interface Endpoint {
  active: number;
  /** Nothing is sent before, by a clock that nobody sets: `performance.now()`. */
  closedUntil: number;
  /** It has all of its places and wants another one. */
  isAsking: boolean;
  breaker: { readonly policy: CircuitBreakerPolicy; readonly counter: ConsecutiveBreaker } | undefined;
}

/** Of a new one. */
const NEW: Endpoint = {
  active: 0,
  closedUntil: Number.NEGATIVE_INFINITY,
  isAsking: false,
  breaker: undefined,
};

/** A timer that is put for the time at which it opens must not find it closed: it goes by another clock. */
const SLACK_MS = 20;

/**
 * Keeps receivers apart: each has two places, an organisation twenty, and whoever finds none waits in a queue that gives every
 * webhook its turn. A receiver that hangs holds its own places, and after some failures only one of them now and then.
 */
export class Gate {
  readonly #limits: GateLimits;
  readonly #endpoints = new Map<string, Endpoint>();
  readonly #organizations = new Map<string, number>();
  /** In the order in which they asked. */
  readonly #waiting = new Map<string, GatedWebhook>();
  #active = 0;

  constructor(limits: GateLimits) {
    this.#limits = limits;
  }

  /** It may have something to send. */
  ask(webhook: GatedWebhook): void {
    if (!this.#waiting.has(webhook.id)) this.#waiting.set(webhook.id, webhook);
  }

  /** Gives the places that there are to the first in the queue that may have some; undefined when nobody may. */
  admit(): { readonly webhook: GatedWebhook; readonly places: number } | undefined {
    for (const webhook of this.#waiting.values()) {
      const { id } = webhook;
      const endpoint = this.#endpoints.get(id) ?? NEW;
      const isShut = this.closedForMs(id) > 0;
      const isFull = endpoint.active >= this.#limits.perWebhook;
      const places = isShut ? 0 : this.#freeFor(webhook);
      // Who is shut comes back by its timer, who is full when a place is given back; who waits for others stays.
      if (isShut || isFull || places > 0) this.#waiting.delete(id);
      if (isFull) this.#endpointOf(id).isAsking = true;
      if (places === 0) continue;
      this.#change(webhook, places);
      return { webhook, places };
    }
    return undefined;
  }

  release(webhook: GatedWebhook, places: number): void {
    if (places === 0) return;
    if (this.#endpoints.get(webhook.id)?.isAsking) this.ask(webhook);
    this.#change(webhook, -places);
  }

  /** For how long nothing is sent to it; 0 when something may be. */
  closedForMs(webhookId: string): number {
    const leftMs = (this.#endpoints.get(webhookId) ?? NEW).closedUntil - performance.now();
    return leftMs > SLACK_MS ? leftMs : 0;
  }

  /** The receiver has asked for it. */
  close(webhookId: string, forMs: number): void {
    const endpoint = this.#endpointOf(webhookId);
    endpoint.closedUntil = Math.max(endpoint.closedUntil, performance.now() + forMs);
  }

  /** Runs `work` unless the receiver has failed too often; undefined when it is not its time. */
  async attempt<T>(webhookId: string, work: () => Promise<T>, hasFailed: (result: T) => boolean): Promise<T | undefined> {
    const { circuitBreaker, ConsecutiveBreaker, handleWhenResult } = await import("cockatiel");
    if (this.closedForMs(webhookId) > 0) return undefined;
    const endpoint = this.#endpointOf(webhookId);
    if (!endpoint.breaker) {
      const { failures, breakMs } = this.#limits;
      const counter = new ConsecutiveBreaker(failures);
      const policy = circuitBreaker(
        handleWhenResult((result) => hasFailed(result as T)),
        // When that is, this gate says: the breaker goes by the clock that people set.
        { halfOpenAfter: Number.NEGATIVE_INFINITY, breaker: counter },
      );
      policy.onBreak(() => this.close(webhookId, breakMs));
      endpoint.breaker = { policy, counter };
    }
    return await endpoint.breaker.policy.execute(work);
  }

  #endpointOf(webhookId: string): Endpoint {
    let endpoint = this.#endpoints.get(webhookId);
    if (!endpoint) this.#endpoints.set(webhookId, (endpoint = { ...NEW }));
    return endpoint;
  }

  #freeFor({ id, organizationId }: GatedWebhook): number {
    const { perWebhook, perOrganization, perNode, failures } = this.#limits;
    const { active, breaker } = this.#endpoints.get(id) ?? NEW;
    // Whether a receiver that failed has recovered, one message finds out.
    const hasFailed = breaker !== undefined && breaker.counter.state >= failures;
    const own = (hasFailed ? 1 : perWebhook) - active;
    const shared = perOrganization - (this.#organizations.get(organizationId) ?? 0);
    return Math.max(0, Math.min(own, shared, perNode - this.#active));
  }

  #change({ id, organizationId }: GatedWebhook, by: number): void {
    this.#active += by;
    const inOrganization = (this.#organizations.get(organizationId) ?? 0) + by;
    if (inOrganization > 0) this.#organizations.set(organizationId, inOrganization);
    else this.#organizations.delete(organizationId);
    const endpoint = this.#endpointOf(id);
    endpoint.active += by;
    endpoint.isAsking &&= by > 0;
    // Of a receiver with which all is well nothing has to be kept.
    const { active, breaker, closedUntil } = endpoint;
    const isWell = breaker === undefined || breaker.counter.state === 0;
    if (active === 0 && isWell && closedUntil <= performance.now()) this.#endpoints.delete(id);
  }
}
