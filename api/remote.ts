import type { IncomingMessage } from "node:http";
import { BlockList, isIP } from "node:net";

/** Where a request comes from, after the proxies that are trusted. */
export interface Remote {
  readonly address: string;
  readonly isSecure: boolean;
  /** Straight from this machine, through no proxy: maintenance access. */
  readonly isLocal: boolean;
}

const LOOPBACK = blockList(["127.0.0.0/8", "::1"]);

/** `trusted`: addresses and CIDR ranges. Returns the function that reads a request. */
export function remoteReader(trusted: readonly string[]): (request: IncomingMessage) => Remote {
  const proxies = blockList(trusted);
  return (request) => {
    const peer = request.socket.remoteAddress ?? "";
    const forwarded = header(request, "x-forwarded-for");
    const proto = header(request, "x-forwarded-proto");
    const direct = "encrypted" in request.socket && request.socket.encrypted === true;
    if (!includes(proxies, peer))
      return { address: peer, isSecure: direct, isLocal: includes(LOOPBACK, peer) && forwarded === undefined && proto === undefined };
    const address = clientOf(forwarded, proxies) ?? peer;
    return {
      address,
      isSecure: proto === undefined ? direct : proto.split(",").at(-1)?.trim() === "https",
      isLocal: includes(LOOPBACK, address) && proto === undefined,
    };
  };
}

/** The last address that no trusted proxy has: everything left of it is hearsay. */
function clientOf(forwarded: string | undefined, proxies: BlockList): string | undefined {
  const hops = (forwarded ?? "")
    .split(",")
    .map((hop) => hop.trim())
    .filter((hop) => isIP(hop) !== 0);
  return hops.findLast((hop) => !includes(proxies, hop)) ?? hops[0];
}

function header(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value.join(",") : value;
}

function includes(list: BlockList, address: string): boolean {
  const version = isIP(address);
  return version !== 0 && list.check(address, version === 6 ? "ipv6" : "ipv4");
}

function blockList(entries: readonly string[]): BlockList {
  const list = new BlockList();
  for (const entry of entries) {
    const [address = "", bits] = entry.split("/");
    const family = isIP(address) === 6 ? "ipv6" : "ipv4";
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(bits), family);
  }
  return list;
}
