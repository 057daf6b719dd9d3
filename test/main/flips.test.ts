import { test } from "node:test";
import { turnFromAllSides } from "./flips.ts";

const STEPS = 150;
const seed = Date.now() % 1_000_000_007;

test(
  `${STEPS} times a switch is turned from random sides, and all agree in a second each time (seed ${seed})`,
  {
    timeout: 180_000,
  },
  (context) => turnFromAllSides(context, { steps: STEPS, seed }),
);
