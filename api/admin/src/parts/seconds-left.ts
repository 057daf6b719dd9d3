import { useEffect, useState } from "react";

/** Until `at` (of `performance.now()`), counted down; 0 when it is over, or there is nothing to wait for. */
export function useSecondsLeft(at: number | undefined): number {
  const [now, setNow] = useState(() => performance.now());
  const left = at === undefined ? 0 : Math.max(0, Math.ceil((at - now) / 1_000));
  const isOver = left === 0;
  useEffect(() => {
    if (isOver) return undefined;
    const timer = setInterval(() => setNow(performance.now()), 1_000);
    return () => clearInterval(timer);
  }, [at, isOver]);
  return left;
}
