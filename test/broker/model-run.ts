import assert from "node:assert/strict";
import fc from "fast-check";
import { beginnings, type Step, steps } from "./model-steps.ts";
import { startWorld, type World } from "./model-world.ts";

const MOST_STEPS = 400;
/** Runs of one seed; the next has the next number. */
const RUNS = 5;

export interface ModelRun {
  /** Of the hub. */
  readonly nodes: number;
  readonly seed: number;
  /** Where in the seed's runs to begin, as fast-check says it of a failure. */
  readonly path?: string | undefined;
  /** At least so many steps. */
  readonly steps: number;
  /** How long a failing run is made shorter. */
  readonly shrinkMs: number;
}

export interface ModelReport {
  steps: number;
  deliveries: number;
  /** Sessions that went on at another node. */
  moves: number;
}

/** Takes random steps in runs of up to 400, each from the same beginning. Rejects with the shortest run that the model does not agree with. */
export async function runModel({ nodes, seed, path, steps: least, shrinkMs }: ModelRun): Promise<ModelReport> {
  const report: ModelReport = { steps: 0, deliveries: 0, moves: 0 };
  let world: World | undefined;
  let failedAt: number | undefined;
  const close = async (): Promise<void> => {
    report.deliveries += world?.deliveries ?? 0;
    report.moves += world?.moves ?? 0;
    await world?.[Symbol.asyncDispose]();
    world = undefined;
  };
  async function run(owners: readonly number[], list: readonly Step[]): Promise<void> {
    if (failedAt !== undefined && performance.now() > failedAt + shrinkMs) return;
    world ??= await startWorld(nodes);
    try {
      await world.begin(owners);
      for (const step of list) if (await world.take(step)) report.steps++;
      await world.finish();
    } catch (error) {
      failedAt ??= performance.now();
      const { trace } = world;
      await close();
      throw new Error(`${error instanceof Error ? error.message : String(error)}\n(after ${report.steps} steps)\n${trace}`, {
        cause: error,
      });
    }
  }
  try {
    const lists = fc.noBias(fc.array(steps, { maxLength: MOST_STEPS, size: "max" }));
    const property = fc.asyncProperty(beginnings, lists, run);
    for (let round = seed; report.steps < least; round++) {
      await fc.assert(property, { seed: round, numRuns: RUNS, ...(path === undefined ? {} : { path }) });
      if (path !== undefined) break;
    }
  } finally {
    await close();
  }
  return report;
}

/** The seed of this time, unless one is given to see its run again: MODEL_SEED, and MODEL_PATH of the failure. */
export function givenSeed(): { seed: number; path: string | undefined } {
  const { MODEL_SEED, MODEL_PATH } = process.env;
  const seed = MODEL_SEED === undefined ? Date.now() % 1_000_000_007 : Number(MODEL_SEED);
  assert.ok(Number.isInteger(seed), "MODEL_SEED is a whole number");
  return { seed, path: MODEL_PATH };
}
