import { isIP } from "node:net";
import { isDestination } from "./destination.ts";
import { variableOf } from "./setting-names.ts";

export interface ConfigProblem {
  readonly variable: string;
  readonly what: string;
  readonly mend: string;
}

/** What TRUST_PROXY=true and HEXA_MQTT_PROXY=true trust: a proxy on the same machine, container network or LAN. */
const PRIVATE_NETWORKS = ["127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fe80::/10"];

export function originsOf(key: "mqttOrigins" | "apiOrigins", text: string, problems: ConfigProblem[]): string[] {
  const listed = text === "" ? [] : text.split(",").map((part) => part.trim());
  for (const origin of listed) {
    if (origin === "*" || (isBaseUrl(origin) && new URL(origin).origin === origin && !origin.includes("*"))) continue;
    problems.push({
      variable: variableOf(key),
      what: `holds no origin: ${JSON.stringify(origin)}`,
      mend: "write *, or for example https://app.example,https://other.example:8443",
    });
  }
  return listed;
}

export function proxiesOf(key: "trustProxy" | "mqttProxy", text: string, problems: ConfigProblem[]): string[] {
  if (text === "" || text === "false") return [];
  if (text === "true") return PRIVATE_NETWORKS;
  return text.split(",").map((part) => {
    const range = part.trim();
    const [address = "", bits, more] = range.split("/");
    const most = isIP(address) === 6 ? 128 : 32;
    const isRange = isIP(address) !== 0 && more === undefined && (bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= most));
    if (!isRange)
      problems.push({
        variable: variableOf(key),
        what: `holds no address or range: ${JSON.stringify(range)}`,
        mend: "write true, or for example 10.0.0.5,192.168.0.0/24",
      });
    return bits === undefined ? `${address}/${most}` : range;
  });
}

const partsOf = (text: string): string[] => (text === "" ? [] : text.split(",").map((part) => part.trim()));

export function destinationsOf(text: string, problems: ConfigProblem[]): string[] {
  const listed = partsOf(text);
  for (const destination of listed)
    if (!isDestination(destination))
      problems.push({
        variable: variableOf("outboundAllow"),
        what: `holds no address, range or host name: ${JSON.stringify(destination)}`,
        mend: "write for example 192.168.1.0/24,nodered.lan",
      });
  return listed;
}

export function portsOf(text: string, problems: ConfigProblem[]): number[] {
  const listed = partsOf(text);
  for (const port of listed)
    if (!/^\d{1,5}$/.test(port) || Number(port) === 0 || Number(port) > 65_535)
      problems.push({
        variable: variableOf("outboundPorts"),
        what: `holds no port: ${JSON.stringify(port)}`,
        mend: "write for example 80,443,8443",
      });
  return listed.map(Number);
}

export function isBaseUrl(text: string): boolean {
  const url = URL.parse(text);
  return (
    url !== null && /^https?:$/.test(url.protocol) && url.pathname === "/" && url.search === "" && url.hash === "" && url.username === ""
  );
}
