import type { Demo, DemoDevice, Log } from "../../core/bus.ts";
import type { DemoConnection, DemoDefinition } from "./demo-home.ts";
import type { VirtualDevice } from "./device.ts";

/** How the demo home gets its devices into a hub; the firmware knows no database. */
export interface DemoEnrolment {
  /** The demo devices of an earlier start, each with a fresh token. */
  reissue(): Promise<readonly DemoCredentials[]>;
  enrol(definition: DemoDefinition, organizationId: string): Promise<DemoCredentials>;
  /** Removes the device and everything it left; resolves to false if it was gone already. */
  remove(uid: string): Promise<boolean>;
}

export interface DemoCredentials {
  readonly uid: string;
  readonly name: string;
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
  const running = new Map<string, { name: string; device: VirtualDevice }>();
  let starting: Promise<void> = Promise.resolve();

  async function connect({ uid, name, token }: DemoCredentials): Promise<void> {
    const { DEMO_DEVICES, startDemoDevice } = await home();
    const definition = DEMO_DEVICES.find((one) => one.name === name);
    if (!definition || running.has(uid)) return;
    running.set(uid, { name, device: await startDemoDevice(definition, { ...(await context.connection()), uid, password: token }) });
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

  const status = (): DemoDevice[] => [...running].map(([uid, { name, device }]) => ({ uid, name, connected: device.connected }));

  async function resume(): Promise<void> {
    for (const credentials of await context.reissue())
      await connect(credentials).catch((error: unknown) =>
        context.log.warn({ err: error, deviceUid: credentials.uid }, "a demo device could not connect"),
      );
  }

  return {
    status,
    start: (organizationId) =>
      inTurn(async () => {
        const { DEMO_DEVICES } = await home();
        const present = new Set([...running.values()].map(({ name }) => name));
        for (const definition of DEMO_DEVICES)
          if (!present.has(definition.name)) await connect(await context.enrol(definition, organizationId));
        return status();
      }),
    stop: () =>
      inTurn(async () => {
        const uids = [...running.keys()];
        for (const { device } of running.values()) await device[Symbol.asyncDispose]();
        running.clear();
        for (const uid of uids) await context.remove(uid);
        return uids.length;
      }),
    resume: () => inTurn(resume),
    async [Symbol.asyncDispose]() {
      await starting;
      for (const { device } of running.values()) await device[Symbol.asyncDispose]();
    },
  };
}
