import type { Device } from "../core/device.ts";
import { newId } from "../core/id.ts";
import type { Scope } from "../core/principal.ts";
import { claimCodeHash, notFound, readDevice } from "./device-rows.ts";
import type { Db } from "./open.ts";
import { lockOrganization } from "./organizations.ts";
import { inTransaction } from "./transaction.ts";
import { isoOf, scoped } from "./sql.ts";
import { deleteTelemetry } from "./telemetry-removal.ts";

export interface Claim {
  readonly claimCode: string;
  readonly organizationId: string;
  readonly userId: string | null;
  readonly now: number;
}

/**
 * Gives the unclaimed device with this code to the organisation; undefined when the code is unknown or used, so that of two claims one wins.
 * What the device recorded before its first claim goes with it; what it recorded between two owners belongs to neither and is dropped.
 */
export async function claimDevice(db: Db, claim: Claim): Promise<Device | undefined> {
  const at = isoOf(claim.now);
  return await inTransaction(db, async (trx) => {
    await lockOrganization(trx, claim.organizationId);
    const query = trx("devices")
      .where({ claim_code_hash: claimCodeHash(claim.claimCode) })
      .whereNull("organization_id")
      .forUpdate();
    const found = (await query.first("id", "released_at")) as { id: string; released_at: string | null } | undefined;
    if (!found) return undefined;
    const { id } = found;
    await trx("devices")
      .where({ id })
      .update({ organization_id: claim.organizationId, owner_id: claim.userId, claim_code_hash: null, claimed_at: at, updated_at: at });
    await trx("entities").where({ id }).update({ organization_id: claim.organizationId, last_updated: at });
    if (claim.userId !== null)
      await trx("relationships").insert({
        id: newId(),
        from_entity: claim.userId,
        to_entity: id,
        relationship_type: "owns",
        organization_id: claim.organizationId,
        properties: "{}",
        created_at: at,
      });
    if (found.released_at === null) {
      await trx("series").where({ device_id: id }).whereNull("organization_id").update({ organization_id: claim.organizationId });
    } else {
      await deleteTelemetry(trx, id, "unclaimed");
      await forgetState(trx, id);
    }
    return await readDevice(trx, id);
  });
}

/**
 * Takes the device from its organisation. Its readings stay the organisation's, and come back with it; states, relationships and
 * commands under way do not reach the next owner. Throws `not_found`.
 */
export async function releaseDevice(db: Db, scope: Scope, id: string, newClaimCode: string): Promise<Device> {
  const at = isoOf(Date.now());
  return await inTransaction(db, async (trx) => {
    const query = scoped(trx("devices").where({ id }).select("id"), scope, { organization: "organization_id", device: "id" }).forUpdate();
    if (!(await query.first())) throw notFound();
    await trx("devices")
      .where({ id })
      .update({
        organization_id: null,
        owner_id: null,
        room_id: null,
        // How much harm it can do is the next owner's to say.
        sensitivity: "normal",
        claim_code_hash: claimCodeHash(newClaimCode),
        claimed_at: null,
        released_at: at,
        connection_status: "offline",
        updated_at: at,
      });
    await trx("entities").where({ id }).update({ organization_id: null, last_updated: at });
    await trx("relationships").where({ from_entity: id }).orWhere({ to_entity: id }).del();
    await trx("commands")
      .where({ device_id: id })
      .whereIn("status", ["queued", "sent"])
      .update({ status: "expired", error: "the device was released", finished_at: at });
    await forgetState(trx, id);
    return await readDevice(trx, id);
  });
}

async function forgetState(trx: Db, id: string): Promise<void> {
  for (const table of ["device_sensor_state", "relay_states", "light_states", "device_ir_codes", "sensor_settings", "virtual_sensors"])
    await trx(table).where({ device_id: id }).del();
}
