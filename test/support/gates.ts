/** Outcome of one check: `notRun` is a reason, and is never to be read as "nothing found". */
export type Outcome = { kind: "passed"; note?: string } | { kind: "failed"; output: string } | { kind: "notRun"; why: string };

/** Only packages that package.json names in `allowScripts` may run code while they are installed. Both arguments are parsed JSON. */
export function judgeInstallScripts(lock: unknown, manifest: unknown): Outcome {
  const allowed = new Set(Object.keys(property(manifest, "allowScripts")));
  const packages = Object.entries(property(lock, "packages"));
  if (packages.length === 0) return { kind: "failed", output: "package-lock.json lists no packages" };
  const unexpected = packages
    .filter(([place, entry]) => isRecord(entry) && entry.hasInstallScript === true && !allowed.has(packageName(place)))
    .map(([place]) => `${place} runs an install script and is not in allowScripts of package.json`);
  return unexpected.length > 0
    ? { kind: "failed", output: unexpected.join("\n") }
    : { kind: "passed", note: `${packages.length} packages` };
}

/** `report` is what `npm audit --json` printed. Low and moderate findings are noted, high and critical ones fail. */
export function judgeAudit(report: string): Outcome {
  let parsed: unknown;
  try {
    parsed = JSON.parse(report);
  } catch {
    return { kind: "notRun", why: `npm audit gave no report: ${report.trim().slice(0, 200) || "(nothing)"}` };
  }
  const counts = property(property(parsed, "metadata"), "vulnerabilities");
  if (typeof counts.total !== "number") {
    const { message, error } = isRecord(parsed) ? parsed : {};
    const why = typeof message === "string" && message !== "" ? message : property({ error }, "error").summary;
    return { kind: "notRun", why: `the registry gave no audit: ${typeof why === "string" && why !== "" ? why : "no reason told"}` };
  }
  const listed = Object.entries(property(parsed, "vulnerabilities")).map(
    ([name, entry]) => `${name}: ${String(isRecord(entry) ? entry.severity : "unknown")}`,
  );
  const grave = Number(counts.high ?? 0) + Number(counts.critical ?? 0);
  if (grave > 0) return { kind: "failed", output: listed.join("\n") };
  return { kind: "passed", note: counts.total === 0 ? "nothing known" : `below high: ${listed.join(", ")}` };
}

function packageName(place: string): string {
  return place.slice(place.lastIndexOf("node_modules/") + "node_modules/".length);
}

function property(from: unknown, name: string): Record<string, unknown> {
  const value = isRecord(from) ? from[name] : undefined;
  return isRecord(value) ? value : {};
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
