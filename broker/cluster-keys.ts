/**
 * Redis keys of the cluster. Each is used alone or with keys of its own slot, so that Redis Cluster can spread them.
 * Those of presence and revocation are a contract with other programs: names, fields and lifetimes stay.
 */
export const NODES_KEY = "hexa:nodes";
export const nodeKey = (nodeId: string): string => `hexa:node:${nodeId}`;
/**
 * What the key of a node says that was declared dead; then, when another node has taken what nobody had and has said so; and then,
 * when everybody knows of everything that it had.
 */
export const DEAD = "dead";
export const ADOPTED = "adopted";
export const BURIED = "buried";
/** How long that stays: a process that stood still longer than this knows by its own clock. */
export const DEAD_TTL_MS = 3_600_000;
export const inboxKey = (nodeId: string): string => `hexa:inbox:${nodeId}`;
export const sessionKey = (clientId: string): string => `hexa:session:${clientId}`;
export const leaseKey = (name: string): string => `hexa:lease:${name}`;
export const cacheKey = (key: string): string => `hexa:cache:${key}`;

export const ONLINE_KEY = "presence:online";
export const REVOKED_KEY = "revoked_device_jti";
export const presenceKey = (deviceId: string): string => `presence:device:${deviceId}`;
export const routeKey = (deviceId: string): string => `route:device:${deviceId}`;
