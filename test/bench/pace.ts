export interface PaceOptions {
  readonly ratePerS: number;
  /** Sends one message that counts as sent at `stampMs` (performance.now()); false when it must wait. */
  readonly send: (stampMs: number) => boolean;
}

/**
 * An open loop: messages are due at their rate whatever the broker does, looked at every millisecond. One that could not be
 * sent when it was due keeps that time, so that waiting counts; that this process looks late does not.
 */
export function startPace({ ratePerS, send }: PaceOptions): Disposable {
  const startedAt = performance.now();
  let lookedAt = startedAt;
  let sent = 0;
  const timer = setInterval(() => {
    const now = performance.now();
    const due = Math.floor(((now - startedAt) * ratePerS) / 1_000);
    for (; sent < due; sent++) {
      const dueAt = startedAt + (sent * 1_000) / ratePerS;
      if (!send(dueAt < lookedAt ? dueAt : now)) break;
    }
    lookedAt = now;
  }, 1);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

export function passed(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms));
}
