/** What CLICKHOUSE_URL names, as it describes itself; `fault` says why it did not. `address` has no credentials. */
export type ClickhouseServer = { readonly address: string } & (
  | { readonly fault: ClickhouseFault }
  | {
      readonly fault?: never;
      readonly version: string;
      /** How far its clock is ahead of this machine's. */
      readonly skewMs: number;
      readonly hasDatabase: boolean;
      readonly tables: readonly ClickhouseTable[];
      /** Such as `INSERT ON telemetry`; undefined where the version does not tell. */
      readonly missingRights: readonly string[] | undefined;
    }
);

export interface ClickhouseFault {
  readonly message: string;
  /** ClickHouse's own, such as 516, where it answered. */
  readonly code?: string;
}

/** One of the tables that the hub makes. */
export interface ClickhouseTable {
  readonly name: string;
  readonly isThere: boolean;
  /** What is not as the hub has made it. */
  readonly differences: readonly string[];
}
