export const PROJECT_STATUSES = ["active", "paused", "done"] as const;
export type ProjectStatus = (typeof PROJECT_STATUSES)[number];

/** What devices and people belong to for a purpose and a while. */
export interface Project {
  readonly id: string;
  readonly organizationId: string;
  readonly name: string;
  readonly description: string | null;
  readonly leadId: string | null;
  readonly status: ProjectStatus;
  readonly createdAt: string;
  readonly lastUpdated: string;
}
