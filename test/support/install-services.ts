import { spawn } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { faketimeMissing } from "./fake-clock.ts";
import { chromiumMissing, findProgram, mosquittoMissing, pahoMissing, postgresMissing, redisMissing } from "./services.ts";

/** The servers and clients that some suites need, and the Debian packages that bring them. */
const NEEDS = [
  { name: "PostgreSQL", missing: postgresMissing, packages: ["postgresql"] },
  { name: "Redis", missing: redisMissing, packages: ["redis-server"] },
  { name: "mosquitto", missing: mosquittoMissing, packages: ["mosquitto", "mosquitto-clients"] },
  { name: "paho-mqtt", missing: pahoMissing, packages: ["python3-paho-mqtt"] },
  { name: "NATS", missing: () => (findProgram("nats-server") ? undefined : "NATS is not installed"), packages: ["nats-server"] },
  { name: "libfaketime", missing: faketimeMissing, packages: ["libfaketime"] },
  { name: "iproute2", missing: () => (findProgram("ip") ? undefined : "iproute2 is not installed"), packages: ["iproute2"] },
  { name: "Chromium", missing: chromiumMissing, packages: ["chromium"] },
] as const;

/**
 * Installs through apt-get what is missing, where that is possible (root, Debian or a relative) and `allowed`.
 * Returns the names of what is missing still; the suites that need it skip themselves. Never throws.
 */
export async function installServices(options: { allowed: boolean; say: (line: string) => void }): Promise<string[]> {
  const { allowed, say } = options;
  const missing = NEEDS.filter((need) => need.missing());
  if (missing.length === 0 || !allowed || process.getuid?.() !== 0 || !findProgram("apt-get")) return missing.map((need) => need.name);
  const startedAt = performance.now();
  say(`installing ${missing.map((need) => need.name).join(", ")} through apt-get …`);
  const answer = await withoutStartingServices(async () => {
    // A failing update (one source unreachable) need not matter.
    await aptGet(["update"], UPDATE_LIMIT_MS);
    return aptGet(["install", "-y", "--no-install-recommends", ...missing.flatMap((need) => need.packages)], INSTALL_LIMIT_MS);
  });
  const still = missing.filter((need) => need.missing()).map((need) => need.name);
  say(
    still.length === 0
      ? `installed in ${Math.round((performance.now() - startedAt) / 1000)} s`
      : `not installed: ${still.join(", ")}\n${answer}`,
  );
  return still;
}

const UPDATE_LIMIT_MS = 180_000;
const INSTALL_LIMIT_MS = 420_000;
const POLICY_FILE = "/usr/sbin/policy-rc.d";

/** Debian starts what it installs unless this file says no (exit code 101). One that is there already is left alone. */
async function withoutStartingServices<T>(work: () => Promise<T>): Promise<T> {
  let isOurs = false;
  try {
    writeFileSync(POLICY_FILE, "#!/bin/sh\nexit 101\n", { mode: 0o755, flag: "wx" });
    isOurs = true;
  } catch {
    // Present, or not writable: apt-get will tell.
  }
  const remove = () => {
    if (isOurs) rmSync(POLICY_FILE, { force: true });
  };
  process.once("exit", remove);
  try {
    return await work();
  } finally {
    remove();
    process.off("exit", remove);
  }
}

/** Resolves with the end of its output, whatever the outcome: what counts is whether the program is there afterwards. */
function aptGet(args: readonly string[], limitMs: number): Promise<string> {
  return new Promise((resolve) => {
    const child = spawn("apt-get", ["-qq", "-o", "DPkg::Lock::Timeout=120", "-o", "Acquire::Retries=3", ...args], {
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C" },
      stdio: ["ignore", "pipe", "pipe"],
      timeout: limitMs,
    });
    let tail = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (chunk: string) => {
        tail = (tail + chunk).slice(-2048);
      });
    }
    child.once("error", (error) => resolve(error.message));
    child.once("close", () => resolve(tail.trim()));
  });
}
