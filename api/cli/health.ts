export interface Health {
  readonly status: number;
  readonly isOk: boolean;
  /** At most the first 300 characters. */
  readonly body: string;
  /** The hub's clock, to the second; undefined without a Date header. */
  readonly date: number | undefined;
}

/** What `/health` answers; undefined when nothing does within five seconds. */
export async function probeHealth(url: string): Promise<Health | undefined> {
  try {
    const response = await fetch(new URL("/health", url), { redirect: "error", signal: AbortSignal.timeout(5000) });
    const body = (await response.text()).slice(0, 300);
    const date = Date.parse(response.headers.get("date") ?? "");
    return { status: response.status, isOk: response.ok, body, date: Number.isNaN(date) ? undefined : date };
  } catch {
    // Refused, reset, no such host, too slow: for the question asked they are one answer.
    return undefined;
  }
}

/** What `/metrics` of the hub on this machine says; undefined when it does not answer within five seconds. */
export async function readMetrics(url: string): Promise<string | undefined> {
  try {
    const response = await fetch(new URL("/metrics", url), { redirect: "error", signal: AbortSignal.timeout(5000) });
    return response.ok ? await response.text() : undefined;
  } catch {
    return undefined;
  }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it lives and belongs to somebody else.
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
