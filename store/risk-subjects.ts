import type { Device } from "../core/device.ts";
import type { RiskRequest } from "../core/risk.ts";
import type { Db } from "./open.ts";

/** What a judgement has to know of the device. */
export async function readRiskSubject(
  db: Db,
  { uid, deviceClass, sensitivity, siteId }: Pick<Device, "uid" | "deviceClass" | "sensitivity" | "siteId">,
): Promise<Pick<RiskRequest, "device" | "timeZone">> {
  const site =
    siteId === null ? undefined : ((await db("sites").where({ id: siteId }).first("time_zone")) as { time_zone: string } | undefined);
  return { device: { uid, class: deviceClass, sensitivity, siteId }, timeZone: site?.time_zone ?? null };
}
