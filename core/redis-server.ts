/** A server that REDIS_URL names, as it describes itself; `fault` says why it did not. `address` has no credentials. */
export type RedisServer = { readonly address: string } & (
  | { readonly fault: string }
  | {
      readonly fault?: never;
      readonly version: string;
      readonly isCluster: boolean;
      /** Of a cluster: it serves all keys. */
      readonly isWhole: boolean;
      readonly isReplica: boolean;
      readonly evictionPolicy: string;
    }
);
