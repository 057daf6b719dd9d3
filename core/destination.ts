import { isIP } from "node:net";
import ipaddr from "ipaddr.js";

/** Where requests of the hub may go to although it is not the public internet, or to another port than usual. */
export interface DestinationRules {
  /** CIDR ranges, and host names whose addresses may be any; every port of these is open. */
  readonly allow: readonly string[];
  /** Everywhere else. */
  readonly ports: readonly number[];
}

/** A URL that must not be asked, whatever it answers; the message says why and is for whoever has set it. */
export class ForbiddenDestination extends Error {
  override readonly name = "ForbiddenDestination";
}

export interface Destinations {
  /** The URL, as far as it can be judged without asking for its name. Throws {@link ForbiddenDestination}. */
  parse(text: string): URL;
  /** Those that a name was found to have, when every single one may be asked. Throws {@link ForbiddenDestination}. */
  check(url: URL, addresses: readonly string[]): void;
}

const MAX_URL_CHARS = 2_048;
/** What is given out to hosts: beyond it stand addresses that mean others, such as ::a.b.c.d and 64:ff9b::a.b.c.d. */
const GLOBAL_V6 = ipaddr.IPv6.parseCIDR("2000::/3");
/**
 * One answer for names that lead inside and for names that lead nowhere: who may set a URL must not find out by it which
 * names there are in the hub's network.
 */
export const NOT_PUBLIC = "the name has no public address";

/** Decides which URLs the hub asks on somebody's behalf: the public internet and what was allowed, never its own network. */
export function createDestinations({ allow, ports }: DestinationRules): Destinations {
  const ranges = allow.filter(isRange).map(parseRange);
  const names = new Set(allow.filter((one) => !isRange(one)).map((name) => bareName(name.toLowerCase())));

  const isAllowed = (address: string): boolean => {
    if (isIP(address) === 0) return false;
    const parsed = ipaddr.process(address);
    return ranges.some(([network, bits]) => network.kind() === parsed.kind() && parsed.match(network, bits));
  };

  return {
    parse(text) {
      const url = text.length > MAX_URL_CHARS ? null : URL.parse(text);
      if (url === null) throw new ForbiddenDestination(`is no URL of at most ${MAX_URL_CHARS} characters`);
      if (url.protocol !== "https:" && url.protocol !== "http:") throw new ForbiddenDestination("has to begin with https:// or http://");
      if (url.username !== "" || url.password !== "") throw new ForbiddenDestination("must not hold a user name or a password");
      const host = hostOf(url);
      const isLiteral = isIP(host) !== 0;
      if (isLiteral ? isAllowed(host) : names.has(bareName(host))) return url;
      if (isLiteral ? !isPublicAddress(host) : isLocalName(bareName(host)))
        throw new ForbiddenDestination("leads into the hub's own network, which is open only where HEXA_OUTBOUND_ALLOW says so");
      // Of a name whose addresses are allowed any port is: check() knows.
      if (isLiteral && !isUsual(url, ports)) throw new ForbiddenDestination(oddPort(ports));
      return url;
    },
    check(url, addresses) {
      if (addresses.length === 0) throw new ForbiddenDestination(NOT_PUBLIC);
      if (names.has(bareName(hostOf(url))) || addresses.every(isAllowed)) return;
      if (!addresses.every((address) => isAllowed(address) || isPublicAddress(address))) throw new ForbiddenDestination(NOT_PUBLIC);
      if (!isUsual(url, ports)) throw new ForbiddenDestination(oddPort(ports));
    },
  };
}

/** An address of one host of the public internet, and no way around to another one. */
export function isPublicAddress(address: string): boolean {
  if (isIP(address) === 0) return false;
  const parsed = ipaddr.parse(address);
  if (parsed.range() !== "unicast") return false;
  return parsed instanceof ipaddr.IPv4 || parsed.match(GLOBAL_V6);
}

/** Without the brackets of an IPv6 literal. */
export const hostOf = (url: URL): string => url.hostname.replace(/^\[|\]$/g, "");

/** A range or an address, or a host name. */
export function isDestination(text: string): boolean {
  return (
    isRange(text) ||
    (/^(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$/i.test(text) && /[a-z]/i.test(text))
  );
}

function isRange(text: string): boolean {
  const [address = "", bits, more] = text.split("/");
  const most = isIP(address) === 6 ? 128 : 32;
  return isIP(address) !== 0 && more === undefined && (bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= most));
}

function parseRange(text: string): [ipaddr.IPv4 | ipaddr.IPv6, number] {
  const [address = "", bits] = text.split("/");
  const parsed = ipaddr.parse(address);
  return [parsed, bits === undefined ? (parsed instanceof ipaddr.IPv6 ? 128 : 32) : Number(bits)];
}

/** A name with a dot behind it is the same name. */
const bareName = (host: string): string => host.replace(/\.$/, "");

/** RFC 6761 and what cannot be asked from outside: not worth a question to the resolver. */
const isLocalName = (name: string): boolean => /(^|\.)(localhost|local|internal|home\.arpa)$/.test(name) || !name.includes(".");

function isUsual({ port, protocol }: URL, ports: readonly number[]): boolean {
  return ports.includes(port === "" ? (protocol === "https:" ? 443 : 80) : Number(port));
}

const oddPort = (ports: readonly number[]): string =>
  `has a port that is not open to the outside: ${ports.join(", ")} are (HEXA_OUTBOUND_PORTS)`;
