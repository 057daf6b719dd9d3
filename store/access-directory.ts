import type { AccessDirectory, Bus, Log } from "../core/bus.ts";
import { HUB_TOPICS } from "../core/hub-topics.ts";
import { type Access, narrow, NO_PERMISSIONS, organizationAccess, PLATFORM_ACCESS, SERVICE_PERMISSIONS } from "../core/permissions.ts";
import { type Member, tokenScopeOf, type TokenScope } from "../core/principal.ts";
import { ChangedRows, shareChanges } from "./changed-rows.ts";
import { readAccess } from "./members.ts";
import type { Db } from "./open.ts";

export interface HubAccessDirectory extends AccessDirectory, AsyncDisposable {
  /** From now on this directory and those of the other nodes follow each other's changes. */
  share(context: { readonly bus: Bus; readonly log: Log }): Disposable & { reload(): void };
}

type OfUser = ReadonlyMap<string, Access>;

/** Of somebody who is in no organisation, and is not asked about again. */
const NOWHERE: OfUser = new Map();

/** What everybody may do, in memory: the broker asks for each delivery and must not wait. */
export async function loadAccessDirectory(db: Db, log: Log): Promise<HubAccessDirectory> {
  const byUser: Map<string, OfUser> = await readAccess(db);
  const ofServices = new Map<string, Access>();
  /** What limited tokens leave, and of what: worked out again when that is another one. */
  const narrowed = new WeakMap<Member, { readonly of: Access; readonly access: Access }>();
  let version = 0;
  let announce = (_userId: string): void => {};
  const rows = new ChangedRows<OfUser>({
    what: "changed rights",
    read: (userIds) => readAccess(db, userIds),
    known: () => byUser.keys(),
    apply(userId, access) {
      version++;
      byUser.set(userId, access ?? NOWHERE);
    },
    log,
  });

  function ofService(organizationId: string): Access {
    let access = ofServices.get(organizationId);
    if (!access) ofServices.set(organizationId, (access = organizationAccess(organizationId, SERVICE_PERMISSIONS)));
    return access;
  }

  /** Of the account, by whatever credential. */
  function ofAccount(principal: Member): Access {
    if (principal.kind === "operator" || (principal.kind === "user" && principal.role === "admin")) return PLATFORM_ACCESS;
    const { organizationId } = principal;
    if (principal.kind === "service") return ofService(organizationId);
    return byUser.get(principal.id)?.get(organizationId) ?? organizationAccess(organizationId, NO_PERMISSIONS);
  }

  function within(tokenScope: TokenScope, principal: Member, of: Access): Access {
    const known = narrowed.get(principal);
    if (known?.of === of) return known.access;
    const access = narrow(of, tokenScope, principal.organizationId);
    narrowed.set(principal, { of, access });
    return access;
  }

  return {
    get version() {
      return version;
    },
    of(principal) {
      const access = ofAccount(principal);
      const tokenScope = tokenScopeOf(principal);
      return tokenScope === undefined ? access : within(tokenScope, principal, access);
    },
    async know(userId) {
      if (byUser.has(userId)) return;
      rows.note(userId);
      await rows.settled();
    },
    async changed(userIds) {
      for (const userId of userIds) rows.note(userId);
      for (const userId of userIds) announce(userId);
      await rows.settled();
    },
    share({ bus, log: sharedLog }) {
      const sharing = shareChanges(rows, { bus, log: sharedLog, topic: HUB_TOPICS.access });
      announce = (userId) => sharing.announce(userId);
      return { reload: () => rows.reload(), [Symbol.dispose]: () => sharing[Symbol.dispose]() };
    },
    [Symbol.asyncDispose]: () => rows[Symbol.asyncDispose](),
  };
}
