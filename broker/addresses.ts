import { BlockList, isIP } from "node:net";

/** Returns whether an address lies in one of the ranges (`10.0.0.0/8`, `fd00::/8`). */
export function rangeMatcher(ranges: readonly string[]): (address: string | undefined) => boolean {
  const list = new BlockList();
  for (const range of ranges) {
    const [address = "", bits] = range.split("/");
    const isV6 = isIP(address) === 6;
    list.addSubnet(address, Number(bits ?? (isV6 ? 128 : 32)), isV6 ? "ipv6" : "ipv4");
  }
  return (address = "") => {
    const version = isIP(address);
    return version !== 0 && list.check(address, version === 6 ? "ipv6" : "ipv4");
  };
}

/** Whose limits an address has a share in: an address of IPv4, or the /64 network of IPv6, which is one household's or one machine's. */
export function sourceOf(address: string | undefined): string {
  if (address === undefined) return "unknown";
  const plain = withoutMapping(address);
  if (isIP(plain) !== 6) return plain;
  const [head = "", tail] = (plain.split("%")[0] as string).split("::");
  const before = head === "" ? [] : head.split(":");
  const after = tail === undefined || tail === "" ? [] : tail.split(":");
  const groups =
    tail === undefined ? before : [...before, ...Array<string>(Math.max(0, 8 - before.length - after.length)).fill("0"), ...after];
  return `${groups.slice(0, 4).join(":")}::/64`;
}

/** An address of IPv4 in the clothes of IPv6, as it is; others in their shortest form. */
export function withoutMapping(address: string): string {
  if (isIP(address) !== 6 || address.includes("%")) return address;
  const short = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(short);
  if (!mapped) return short;
  const [high = 0, low = 0] = mapped.slice(1).map((group) => Number.parseInt(group, 16));
  return [high >> 8, high & 255, low >> 8, low & 255].join(".");
}
