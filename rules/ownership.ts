import type { Bus } from "../core/bus.ts";
import type { Topics } from "../core/topics.ts";

const OWNERSHIP_EVENTS = ["device.claimed", "device.released", "device.deleted"] as const;

/** Calls the listener with the id of every device that got, changed or lost its owner, after that is committed. */
export function onOwnerChanged({ bus, topics }: { bus: Bus; topics: Topics }, listener: (deviceId: string) => void): Disposable {
  const stack = new DisposableStack();
  for (const type of OWNERSHIP_EVENTS) {
    const filter = topics.build({ kind: "event", organizationId: "+", type });
    stack.use(
      bus.subscribe(filter, (_topic, payload) => {
        // The hub alone publishes on event topics.
        const { subject } = JSON.parse(payload.toString()) as { subject?: string };
        if (subject !== undefined) listener(subject);
      }),
    );
  }
  return stack;
}
