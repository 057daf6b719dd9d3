import { encodeMessage } from "../../core/ir-protocols.ts";
import type { IrLearned } from "../../core/payloads.ts";
import type { VirtualDevice } from "./contract.ts";

/** Marks are longer, and spaces shorter, than they were sent. */
const SKEW_US = 40;

/** A button of a remote that speaks NEC: address 4, command 8. */
const HEARD: IrLearned = {
  name: "Remote",
  carrier_hz: 38_000,
  timings: encodeMessage({ protocol: "NEC", address: 4, command: 8 }).timings.map((timing) => timing + SKEW_US),
};

/** Somebody stands in front of the device, and presses the button whenever it is asked to learn. */
export function pressWhenAsked(
  device: Pick<VirtualDevice, "capabilities" | "events" | "faults" | "send">,
  background: (work: Promise<void>) => void,
): void {
  device.events.on("down", ({ type }) => {
    if (type === "ir_learn" && device.capabilities.ir === true && !device.faults.silent) background(device.send("ir_learned", HEARD));
  });
}
