/**
 * What stands in Redis for a claimed client id: which node holds it, since when, and which of its claims that was
 * (`<node id>/<ms since 1970>-<count>`).
 */
export interface ClaimToken {
  readonly nodeId: string;
  readonly claimedAt: number;
  readonly count: number;
}

export const formatToken = ({ nodeId, claimedAt, count }: ClaimToken): string => `${nodeId}/${claimedAt}-${count}`;

const TOKEN = /^([^/]+)\/(\d+)-(\d+)$/;

export function parseToken(text: string): ClaimToken | undefined {
  const [, nodeId, claimedAt, count] = TOKEN.exec(text) ?? [];
  return nodeId === undefined ? undefined : { nodeId, claimedAt: Number(claimedAt), count: Number(count) };
}
