import { spawnSync } from "node:child_process";
import { findProgram } from "./services.ts";

/** In the environment of a test file that is alone on its network. */
const MARK = "TEST_NETWORK";
/** Where this machine is on that network. */
export const LAN = { interface: "lan0", address: "192.168.73.10" };
/** Both ends stay: nothing that is sent gets out of it, multicast included. */
const SETUP = `ip link set lo up &&
ip link add ${LAN.interface} type veth peer name lan1 &&
ip address add ${LAN.address}/24 dev ${LAN.interface} &&
ip link set lan1 up &&
ip link set ${LAN.interface} up multicast on &&
ip route add default dev ${LAN.interface} &&
exec env ${MARK}=own "$@"`;

/** Whether this is a process with a network of its own, where whatever it announces is heard by nobody else. */
export const isInOwnNetwork = process.env[MARK] === "own";

/** The same command in a Linux network namespace of its own; as it is where that is not possible. */
export function inOwnNetwork(command: readonly string[]): readonly string[] {
  const unshare = findProgram("unshare");
  if (process.platform !== "linux" || !unshare || !findProgram("ip")) return command;
  // Who is not root may be it inside of a namespace of users.
  const within = [unshare, process.getuid?.() === 0 ? "-n" : "-rn", "sh", "-c", SETUP, "sh"];
  const [file, ...args] = [...within, "true"];
  const isPossible = spawnSync(file, args, { stdio: "ignore", timeout: 10_000 }).status === 0;
  return isPossible ? [...within, ...command] : command;
}
