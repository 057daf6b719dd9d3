import assert from "node:assert/strict";
import fc from "fast-check";
import { beginnings, type Step, steps } from "./model-steps.ts";
import { startWorld, type World } from "./model-world.ts";

const MOST_STEPS = 400;

export interface ModelRun {
  readonly seed: number;
  /** Where in the seed's runs to begin, as fast-check says it of a failure. */
  readonly path?: string | undefined;
  /** At least so many steps. */
  readonly steps: number;
  /** How long a failing run is made shorter. */
  readonly shrinkMs: number;
}

/** Takes random steps in runs of up to 400, each from the same beginning. Rejects with the shortest run that the model does not agree with. */
export async function runModel({ seed, path, steps: least, shrinkMs }: ModelRun): Promise<{ steps: number; deliveries: number }> {
  let world: World | undefined;
  let taken = 0;
  let deliveries = 0;
  let failedAt: number | undefined;
  const close = async (): Promise<void> => {
    deliveries += world?.deliveries ?? 0;
    await world?.[Symbol.asyncDispose]();
    world = undefined;
  };
  async function run(owners: readonly number[], list: readonly Step[]): Promise<void> {
    if (failedAt !== undefined && performance.now() > failedAt + shrinkMs) return;
    world ??= await startWorld();
    try {
      await world.begin(owners);
      for (const step of list) if (await world.take(step)) taken++;
      await world.finish();
    } catch (error) {
      failedAt ??= performance.now();
      const trace = world.trace;
      await close();
      throw new Error(`${error instanceof Error ? error.message : String(error)}\n${trace}`, { cause: error });
    }
  }
  try {
    for (let round = 0; taken < least; round++) {
      const parameters = { seed: seed + round, numRuns: 5, ...(path === undefined ? {} : { path }) };
      const lists = fc.noBias(fc.array(steps, { maxLength: MOST_STEPS, size: "max" }));
      await fc.assert(fc.asyncProperty(beginnings, lists, run), parameters);
      if (path !== undefined) break;
    }
  } finally {
    await close();
  }
  return { steps: taken, deliveries };
}

/** The seed of this time, unless one is given to see its run again: MODEL_SEED, and MODEL_PATH of the failure. */
export function givenSeed(): { seed: number; path: string | undefined } {
  const { MODEL_SEED, MODEL_PATH } = process.env;
  const seed = MODEL_SEED === undefined ? Date.now() % 1_000_000_007 : Number(MODEL_SEED);
  assert.ok(Number.isInteger(seed), "MODEL_SEED is a whole number");
  return { seed, path: MODEL_PATH };
}
