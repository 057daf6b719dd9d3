import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import type { Demo, DemoDevice, Duties, Log, NodeCalls } from "../../core/bus.ts";
import { HubError } from "../../core/errors.ts";
import type { DemoConnection, DemoDefinition } from "./demo-home.ts";
import type { VirtualDevice } from "./device.ts";

/** How the demo home gets its devices into a hub; the firmware knows no database. */
export interface DemoEnrolment {
  /** The demo devices of an earlier start but for these uids, each with a fresh token. */
  reissue(except: ReadonlySet<string>): Promise<readonly DemoCredentials[]>;
  enrol(definition: DemoDefinition, organizationId: string): Promise<DemoCredentials>;
  /** Removes every demo device and everything they left; resolves to how many there were. */
  removeAll(): Promise<number>;
}

export interface DemoCredentials {
  readonly uid: string;
  /** Which definition it is; its name is its owner's to change. */
  readonly model: string;
  readonly token: string;
}

export interface DemoContext extends DemoEnrolment {
  readonly connection: () => Promise<Omit<DemoConnection, "uid" | "password">>;
  readonly calls: NodeCalls;
  readonly duties: Duties;
  readonly log: Log;
}

/** The devices bring an MQTT client with them, 4 MB that a hub without a demo home does not need. */
const home = () => import("./demo-home.ts");
/** Six devices over TLS, one after the other. */
const CHANGE_MS = 30_000;
const STATUS_MS = 1_000;
/** Somebody takes the duty within that, even after the node that had it died. */
const TAKEN_MS = 20_000;
const RETRY_MS = 250;

/**
 * The demo home: real credentials, real MQTT over TLS, nothing taken as a short cut. One node of a cluster runs it, and
 * the others ask that one. It runs from `begin` on, which nobody waits for.
 */
export function createDemo(context: DemoContext): Demo & AsyncDisposable & { begin(): void } {
  const { calls, duties, log } = context;
  const stack = new AsyncDisposableStack();
  const here = demoHere(context);
  let isHere = false;

  async function run(signal: AbortSignal): Promise<void> {
    isHere = true;
    try {
      await here.resume().catch((error: unknown) => log.warn({ err: error }, "the demo home could not be resumed"));
      if (!signal.aborted) await once(signal, "abort");
    } finally {
      isHere = false;
      await here.suspend();
    }
  }

  /** The answer of the node that runs the demo home: this one or another. */
  async function ask<T>(name: string, request: object, timeoutMs: number, does: () => Promise<T>): Promise<T> {
    for (const end = performance.now() + TAKEN_MS; ; await pause(RETRY_MS)) {
      if (isHere) return does();
      const answer = (await calls.askOthers(name, request, timeoutMs)).find((one) => one !== undefined);
      if (answer !== undefined) return answer as T;
      if (performance.now() > end || stack.disposed) throw new HubError("unavailable", "no node runs the demo home now");
    }
  }

  const onlyHere = (does: (request: unknown) => Promise<unknown>) => async (request: unknown) => (isHere ? does(request) : undefined);
  stack.use(
    calls.handle(
      "demo.start",
      onlyHere((request) => here.start((request as { organizationId: string }).organizationId)),
    ),
  );
  stack.use(
    calls.handle(
      "demo.stop",
      onlyHere(() => here.stop()),
    ),
  );
  stack.use(
    calls.handle(
      "demo.status",
      onlyHere(async () => here.status()),
    ),
  );
  return {
    begin: () => void stack.use(duties.hold("demo", run)),
    start: (organizationId) => ask("demo.start", { organizationId }, CHANGE_MS, () => here.start(organizationId)),
    stop: () => ask("demo.stop", {}, CHANGE_MS, () => here.stop()),
    async status() {
      if (isHere) return here.status();
      const answers = await calls.askOthers("demo.status", {}, STATUS_MS);
      return (answers.find((one) => one !== undefined) ?? []) as DemoDevice[];
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** The demo home inside this process. */
function demoHere(context: DemoContext) {
  const running = new Map<string, { definition: DemoDefinition; device: VirtualDevice }>();
  let starting: Promise<void> = Promise.resolve();

  async function connect({ uid, model, token }: DemoCredentials): Promise<void> {
    const { DEMO_DEVICES, startDemoDevice } = await home();
    const definition = DEMO_DEVICES.find((one) => one.model === model);
    if (!definition) return;
    running.set(uid, { definition, device: await startDemoDevice(definition, { ...(await context.connection()), uid, password: token }) });
  }

  /** One after the other: two calls at once must not make two homes. */
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = starting.then(work);
    starting = result.then(
      () => undefined,
      () => undefined,
    );
    return result;
  }

  const status = (): DemoDevice[] =>
    [...running].map(([uid, { definition, device }]) => ({ uid, name: definition.name, connected: device.connected }));

  async function resume(): Promise<void> {
    for (const credentials of await context.reissue(new Set(running.keys())))
      await connect(credentials).catch((error: unknown) =>
        context.log.warn({ err: error, deviceUid: credentials.uid }, "a demo device could not connect"),
      );
  }

  async function disconnect(): Promise<void> {
    for (const { device } of running.values()) await device[Symbol.asyncDispose]();
    running.clear();
  }

  return {
    status,
    start: (organizationId: string) =>
      inTurn(async () => {
        const { DEMO_DEVICES } = await home();
        // Nobody is enrolled who could not connect.
        await context.connection();
        // What an earlier start made comes first: half a home is completed, not doubled.
        await resume();
        const present = new Set([...running.values()].map(({ definition }) => definition));
        for (const definition of DEMO_DEVICES) if (!present.has(definition)) await connect(await context.enrol(definition, organizationId));
        return status();
      }),
    stop: () =>
      inTurn(async () => {
        await disconnect();
        return await context.removeAll();
      }),
    resume: () => inTurn(resume),
    /** Nothing of it is removed: it goes on elsewhere, or at the next start. */
    suspend: () => inTurn(disconnect),
  };
}
