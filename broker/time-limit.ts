/** What `work` resolves to, or `fallback` when it rejects or takes longer than `limitMs`. It goes on all the same. */
export async function orElse<T>(work: Promise<T>, limitMs: number, fallback: T): Promise<T> {
  const { promise: late, resolve } = Promise.withResolvers<T>();
  const timer = setTimeout(resolve, limitMs, fallback);
  try {
    return await Promise.race([work.catch(() => fallback), late]);
  } finally {
    clearTimeout(timer);
  }
}
