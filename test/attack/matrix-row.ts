import type { PersonName } from "./matrix-cast.ts";

/**
 * `own`: what the caller's organisation has, for the guest and the limited token the one device that is theirs. `sibling`: the same organisation's, of
 * which the guest has nothing. `inner`: of the organisation's own path, with what another one has in it. `foreign`, `missing`.
 */
export const TARGETS = ["own", "sibling", "inner", "foreign", "missing"] as const;
export type Target = (typeof TARGETS)[number];

/** What stands in for the parameters of a path, its body or its query. */
export interface Ids {
  readonly device: { readonly id: string; readonly uid: string };
  readonly organization: string;
  readonly user: string;
  readonly invitation: string;
  readonly login: string;
  readonly token: string;
  readonly contact: string;
  readonly event: string;
  readonly notification: string;
  readonly webhook: string;
  readonly hook: string;
  readonly site: string;
  readonly room: string;
  readonly project: string;
  readonly relationship: string;
  readonly automation: string;
  readonly scene: string;
  readonly run: string;
  readonly schedule: string;
  readonly template: string;
  readonly task: string;
  readonly irCode: string;
  readonly virtualSensor: string;
  readonly readingImport: string;
  readonly alertRule: string;
  readonly alert: string;
  readonly insight: string;
  readonly oauthClient: string;
}

export interface Row {
  /** What the row needs: whether it uses its target up. */
  readonly uses?: readonly (keyof Ids)[];
  readonly isOnDevice?: boolean;
  readonly path?: (ids: Ids) => string;
  readonly body?: (ids: Ids) => object;
  /** Of a body that is not told to be JSON. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Of a route that is open to everybody who is logged in, and looks closer: who may, with what is his own. */
  readonly mayOwn?: readonly PersonName[];
  /** Of a route that is open to everybody who is logged in, and whose path or body names something. */
  readonly expects?: (who: PersonName, target: Target) => number | "open";
}

export const MANAGERS: readonly PersonName[] = ["owner", "admin", "stranger"];
