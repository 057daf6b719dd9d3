import type { Demo, DemoDevice, Log } from "../../core/bus.ts";
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
  readonly log: Log;
}

/** The devices bring an MQTT client with them, 4 MB that a hub without a demo home does not need. */
const home = () => import("./demo-home.ts");

/** The demo home inside the hub's process: real credentials, real MQTT over TLS, nothing taken as a short cut. */
export function createDemo(context: DemoContext): Demo & AsyncDisposable & { resume(): Promise<void> } {
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

  return {
    status,
    start: (organizationId) =>
      inTurn(async () => {
        const { DEMO_DEVICES } = await home();
        // What an earlier start made comes first: half a home is completed, not doubled.
        await resume();
        const present = new Set([...running.values()].map(({ definition }) => definition));
        for (const definition of DEMO_DEVICES) if (!present.has(definition)) await connect(await context.enrol(definition, organizationId));
        return status();
      }),
    stop: () =>
      inTurn(async () => {
        for (const { device } of running.values()) await device[Symbol.asyncDispose]();
        running.clear();
        return await context.removeAll();
      }),
    resume: () => inTurn(resume),
    async [Symbol.asyncDispose]() {
      await starting;
      for (const { device } of running.values()) await device[Symbol.asyncDispose]();
    },
  };
}
