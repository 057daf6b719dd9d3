/** Whatever has a name in an organisation: a site, a room, a project, a device, a person, the organisation itself. */
export interface Entity {
  readonly id: string;
  /** `site`, `room`, `project`, `user`, `organization`, or `device.` and its class. */
  readonly type: string;
  readonly name: string;
  readonly description: string | null;
  readonly organizationId: string | null;
  readonly properties: Readonly<Record<string, unknown>>;
  readonly createdAt: string;
  readonly lastUpdated: string;
}

/** An edge between two entities of one organisation. */
export interface Relationship {
  readonly id: string;
  readonly organizationId: string | null;
  readonly from: string;
  readonly to: string;
  readonly type: string;
  readonly properties: Readonly<Record<string, unknown>>;
  readonly createdAt: string;
}

/** From a device or person to a project. */
export const MEMBER_OF = "member_of";
/** Types of edges that the hub makes and takes away itself; `located_in` stands in the devices and rooms. */
export const KEPT_TYPES: ReadonlySet<string> = new Set(["owns", MEMBER_OF, "located_in"]);

/** Properties of a device that say what its other fields say. */
export const KEPT_PROPERTIES: ReadonlySet<string> = new Set(["device_class", "serial_number", "model"]);

/** Of the JSON text. */
export const MAX_PROPERTIES_BYTES = 8_192;
