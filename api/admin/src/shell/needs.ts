import type { Permission, Rights } from "../hub/rights.ts";

/** What a page takes, by what its path begins with; of several the longest. In the organisation, or on one device at least. */
const NEEDS: Readonly<Record<string, Permission>> = {
  "/devices": "device.read",
  "/devices/new": "device.own",
  "/readings": "device.read",
  "/events": "device.read",
  "/tasks": "device.read",
  "/mqtt": "device.read",
  "/settings": "device.read",
  "/automations": "automation.read",
  "/automations/new": "automation.manage",
  "/schedules": "automation.read",
  "/schedules/new": "automation.manage",
  "/scenes": "automation.read",
  "/scenes/new": "automation.manage",
  "/alerts": "automation.read",
  "/alerts/rules/new": "automation.manage",
  "/templates": "automation.read",
  "/templates/new": "automation.manage",
  "/home-assistant": "service.manage",
  "/homekit": "service.manage",
  "/alexa": "service.manage",
  "/webhooks": "webhook.manage",
  "/people": "member.read",
  "/audit": "audit.read",
};

/** undefined for a page that is everybody's. */
export function needOf(path: string): Permission | undefined {
  const beginning = Object.keys(NEEDS)
    .filter((one) => path === one || path.startsWith(`${one}/`))
    .toSorted((a, b) => b.length - a.length)[0];
  return beginning === undefined ? undefined : NEEDS[beginning];
}

export function mayOpen({ maySomewhere }: Rights, path: string): boolean {
  const need = needOf(path);
  return need === undefined || maySomewhere(need);
}
