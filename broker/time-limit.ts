/** What `work` resolves to, or `fallback` when it rejects or takes longer than `limitMs`. It goes on all the same. */
export async function orElse<T, F>(work: Promise<T>, limitMs: number, fallback: F): Promise<T | F> {
  const { promise: late, resolve } = Promise.withResolvers<F>();
  const timer = setTimeout(resolve, limitMs, fallback);
  try {
    return await Promise.race([work.catch(() => fallback), late]);
  } finally {
    clearTimeout(timer);
  }
}
