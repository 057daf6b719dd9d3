import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { ApiError } from "./client.ts";
import { queries } from "./queries.ts";
import type { components } from "./schema.d.ts";
import { me } from "./session.ts";

type Me = components["schemas"]["Me"];
export type Permission = Me["permissions"][number];

/** What the person may do where they act. The hub decides; this is for not offering what it would refuse. */
export interface Rights {
  readonly isHubAdministrator: boolean;
  /** In all of the organisation; with a device's id, on that one. */
  readonly may: (permission: Permission, deviceId?: string) => boolean;
  /** In the organisation, or on one of its devices at least. */
  readonly maySomewhere: (permission: Permission) => boolean;
}

/** Of a hub that is away since before it said so: whoever looks around is not told that they may not. */
const UNKNOWN: Rights = { isHubAdministrator: false, may: () => true, maySomewhere: () => true };

export function rightsOf(told: Me | undefined): Rights {
  if (!told) return UNKNOWN;
  const everywhere = new Set(told.permissions);
  const onDevices = new Map(told.device_permissions.map((one) => [one.device_id, one.permissions]));
  return {
    isHubAdministrator: told.is_hub_administrator,
    may: (permission, deviceId) =>
      everywhere.has(permission) || (deviceId !== undefined && onDevices.get(deviceId)?.includes(permission) === true),
    maySomewhere: (permission) => everywhere.has(permission) || [...onDevices.values()].some((some) => some.includes(permission)),
  };
}

/** Within the shell, which has asked who it is. */
export function useRights(): Rights {
  const { data } = useQuery({ ...me, enabled: false });
  return useMemo(() => rightsOf(data), [data]);
}

// Whoever is refused what was offered has other rights by now.
queries.getQueryCache().subscribe(({ type, query: { state, queryKey } }) => {
  const isRefused = type === "updated" && state.status === "error" && state.error instanceof ApiError && state.error.status === 403;
  if (isRefused && state.fetchStatus === "idle" && queryKey[0] !== "me") void queries.invalidateQueries(me);
});
