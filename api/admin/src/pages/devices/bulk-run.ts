import { useEffect, useRef, useState } from "react";
import { ApiError } from "../../hub/client.ts";
import { queries } from "../../hub/queries.ts";
import type { Device } from "./chosen.ts";

export interface Outcome {
  readonly device: Device;
  readonly state: "waiting" | "done" | "failed";
  readonly error?: unknown;
}
export type Step = (device: Device) => Promise<unknown>;

export interface BulkRun {
  /** Empty until it has begun. */
  readonly outcomes: readonly Outcome[];
  readonly isRunning: boolean;
  run(devices: readonly Device[], step: Step): Promise<void>;
}

const AT_ONCE = 4;
const MOST_TRIES = 5;

/** The same with each of several devices, a few at a time; one that fails stops no other. No more begin once nobody looks. */
export function useBulkRun(): BulkRun {
  const [outcomes, setOutcomes] = useState<readonly Outcome[]>([]);
  const [isRunning, setRunning] = useState(false);
  const isGone = useRef(false);
  useEffect(() => {
    isGone.current = false;
    return () => {
      isGone.current = true;
    };
  }, []);
  const tell = (outcome: Outcome): void =>
    setOutcomes((before) => before.map((one) => (one.device.id === outcome.device.id ? outcome : one)));
  return {
    outcomes,
    isRunning,
    async run(devices, step) {
      setOutcomes(devices.map((device) => ({ device, state: "waiting" })));
      setRunning(true);
      const rest = devices.values();
      const work = async (): Promise<void> => {
        for (const device of rest) {
          if (isGone.current) return;
          tell(await outcomeOf(device, step));
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, work));
      setRunning(false);
      await queries.invalidateQueries({ queryKey: ["devices"] });
    },
  };
}

async function outcomeOf(device: Device, step: Step): Promise<Outcome> {
  for (let tries = 1; ; tries++) {
    try {
      await step(device);
      return { device, state: "done" };
    } catch (error) {
      const waitMs =
        error instanceof ApiError && error.status === 429 && error.retryAt !== undefined
          ? Math.max(0, error.retryAt - performance.now())
          : undefined;
      if (waitMs === undefined || tries === MOST_TRIES) return { device, state: "failed", error };
      await new Promise((resolve) => setTimeout(resolve, waitMs));
    }
  }
}
