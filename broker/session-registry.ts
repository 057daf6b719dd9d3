import { type Principal, tokenScopeOf } from "../core/principal.ts";
import { AccountSessions } from "./account-sessions.ts";
import type { Delivery } from "./delivery-queue.ts";
import { messageOf, messageRow } from "./message-row.ts";
import type { Router } from "./router.ts";
import { type DeliveryRows, type Link, type PassOn, Session, type SessionContext, type Subscription } from "./session.ts";
import type { WriteBehind } from "./write-behind.ts";

export interface SessionRegistryContext extends Omit<SessionContext, "rows"> {
  readonly router: Router;
  readonly rows: WriteBehind;
  /** Called when a session is over and nothing of it is left. */
  readonly onEnd: (clientId: string) => void;
  /** Resolves when all nodes know what the others have taken; at once on a node that is alone. */
  readonly settled: () => Promise<void>;
  /** Called when another node has the session. */
  readonly onUnload: (clientId: string) => void;
}

/** What the row of a session says. */
interface SessionRow {
  readonly principal: Principal;
  /** ms since 1970; undefined while it is connected. */
  readonly endsAt: number | undefined;
  /** How long it outlives its connection. */
  readonly expiryMs: number;
}

/** Whose a client id will be, and how many of the account's logins are on their way to it. */
interface ClaimedId {
  readonly principal: Principal;
  logins: number;
}

/** Rows that sort behind those of another run or node, whatever its clock said. */
type FollowingRows = DeliveryRows & { follow(key: string): void };

const SWEEP_MS = 1_000;
/** Other nodes have heard by then where a session went, or have not and are asked. */
const PASSING_ON_MS = 5_000;

/** Every session there is, connected or away, by client id. */
export class SessionRegistry {
  readonly #context: SessionRegistryContext;
  readonly #deliveryRows: FollowingRows;
  readonly #sessions = new Map<string, Session>();
  /** When sessions that are away end, in ms since 1970. */
  readonly #endsAt = new Map<string, number>();
  /** Client ids that logins have taken for a session that begins when one of them is done. */
  readonly #claims = new Map<string, ClaimedId>();
  readonly #accounts = new AccountSessions();
  /** What is left here of sessions that have moved, to pass on what still comes: one of each at most. */
  readonly #moved = new Map<string, Session>();
  readonly #sweeping: NodeJS.Timeout;

  constructor(context: SessionRegistryContext) {
    this.#context = context;
    this.#deliveryRows = deliveryRows(context.rows);
    this.#sweeping = setInterval(() => this.sweep(context.clock()), SWEEP_MS).unref();
  }

  get size(): number {
    return this.#sessions.size;
  }

  get connected(): number {
    return this.#sessions.size - this.#endsAt.size;
  }

  find(clientId: string): Session | undefined {
    return this.#sessions.get(clientId);
  }

  all(): Iterable<Session> {
    return this.#sessions.values();
  }

  /** Who has the client id: its session's account, or the one that is logging in with it. */
  ownerOf(clientId: string): Principal | undefined {
    return this.#sessions.get(clientId)?.principal ?? this.#claims.get(clientId)?.principal;
  }

  /** Whether the account may have one more durable session on this node, or has this one already. */
  hasRoom(clientId: string, principal: Principal, most: number): boolean {
    return this.#accounts.hasRoom(principal, clientId, most);
  }

  /** Binds the client id of a session that will be durable to its owner. Resolves when that is committed. */
  async claim(clientId: string, principal: Principal, expiryMs: number): Promise<void> {
    this.#claims.set(clientId, { principal, logins: (this.#claims.get(clientId)?.logins ?? 0) + 1 });
    this.#accounts.add(principal, clientId);
    if (this.#sessions.get(clientId)?.isDurable) return;
    this.#putRow(clientId, { principal, expiryMs, endsAt: this.#context.clock() + expiryMs });
    await this.#context.rows.flushed();
  }

  /** A login ended that had claimed the client id. After the last one it is nobody's again; `isOurs`: and no other node's. */
  unclaim(clientId: string, { isOurs }: { readonly isOurs: boolean }): void {
    const claimed = this.#claims.get(clientId);
    if (!claimed || --claimed.logins > 0) return;
    this.#claims.delete(clientId);
    if (this.#sessions.get(clientId)?.isDurable) return;
    this.#accounts.delete(claimed.principal, clientId);
    if (isOurs) this.#context.rows.delete("owner", clientId, "");
  }

  /**
   * The session that a connection goes on with: the one that is there, unless the client wants a new one. The caller
   * attaches its link when the client may be sent something.
   */
  open(clientId: string, principal: Principal, { isDurable, isClean }: { isDurable: boolean; isClean: boolean }) {
    this.#claims.delete(clientId);
    // What comes here is for the one that begins now: to pass it on too would be to say it twice.
    this.#forgetMoved(clientId);
    const old = this.#sessions.get(clientId);
    // A session of the last connection alone is over with that, even if its end has not been noticed.
    const isResumed = old !== undefined && !isClean && old.isDurable;
    if (old && !isResumed) this.#drop(old);
    const session = isResumed ? old : this.#create(clientId, principal, isDurable);
    const hasOtherRights = isResumed && rightsOf(session.principal) !== rightsOf(principal);
    session.principal = principal;
    if (hasOtherRights) this.#context.router.rightsChanged(session);
    this.#endsAt.delete(clientId);
    return { session, isResumed };
  }

  attach(session: Session, link: Link, expiryMs: number): void {
    this.#endsAt.delete(session.id);
    if (session.isDurable) this.#putRow(session.id, { principal: session.principal, expiryMs, endsAt: undefined });
    session.attach(link);
  }

  /** The connection is gone. Returns false when another one has the session already. */
  detach(session: Session, link: Link, expiryMs: number): boolean {
    if (session.link !== link) return false;
    session.detach();
    if (expiryMs <= 0 || !session.isDurable) {
      this.end(session.id);
      return true;
    }
    const endsAt = this.#context.clock() + expiryMs;
    this.#endsAt.set(session.id, endsAt);
    this.#putRow(session.id, { principal: session.principal, expiryMs, endsAt });
    return true;
  }

  /** Forgets everything of one client id. */
  end(clientId: string): void {
    const session = this.#sessions.get(clientId);
    if (session) this.#drop(session);
    if (!this.#claims.has(clientId)) this.#context.rows.delete("owner", clientId, "");
    this.#context.onEnd(clientId);
  }

  /**
   * Lets a session go that another node takes: nothing of its rows changes. `passOn` gets what still comes here for it,
   * until all know where it is.
   */
  unload(clientId: string, passOn?: PassOn): void {
    const session = this.#sessions.get(clientId);
    if (!session) return;
    session.unload(passOn);
    this.#forgetMoved(clientId);
    if (passOn) this.#moved.set(clientId, session);
    if (passOn) setTimeout(() => void this.#forgetWhenSettled(session), PASSING_ON_MS).unref();
    else this.#context.router.forget(session);
    this.#remove(session);
    this.#context.onUnload(clientId);
  }

  async #forgetWhenSettled(session: Session): Promise<void> {
    // At the end of this node nothing is routed any more.
    await this.#context.settled().catch(() => undefined);
    if (this.#moved.get(session.id) === session) this.#forgetMoved(session.id);
  }

  #forgetMoved(clientId: string): void {
    const moved = this.#moved.get(clientId);
    if (moved) this.#context.router.forget(moved);
    this.#moved.delete(clientId);
  }

  sweep(now: number): void {
    for (const [clientId, endsAt] of this.#endsAt) if (endsAt <= now) this.end(clientId);
  }

  /** Brings back one row of an earlier run. The rows of a session come after its own. */
  restore(kind: "owner" | "subscription" | "outgoing" | "incoming", clientId: string, key: string, value: Record<string, unknown>): void {
    if (kind === "owner") return this.#restoreSession(clientId, value as unknown as SessionRow);
    const session = this.#sessions.get(clientId);
    if (!session) return;
    if (kind === "subscription") this.#context.router.subscribe(session, value as unknown as Subscription);
    else if (kind === "incoming") session.unreleased.add(Number(key));
    else {
      this.#deliveryRows.follow(key);
      session.restore(deliveryOf(key, value));
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#sweeping);
  }

  #restoreSession(clientId: string, { principal, endsAt, expiryMs }: SessionRow): void {
    this.#create(clientId, principal, true);
    // Whoever was connected when the hub stopped is away since its start.
    this.#endsAt.set(clientId, endsAt ?? this.#context.clock() + expiryMs);
  }

  #create(id: string, principal: Principal, isDurable: boolean): Session {
    const session = new Session({ ...this.#context, rows: this.#deliveryRows }, { id, principal, isDurable });
    this.#sessions.set(id, session);
    if (isDurable) this.#accounts.add(principal, id);
    return session;
  }

  /** The session is about to end: nothing goes to it any more. */
  silence(session: Session): void {
    const { router, rows } = this.#context;
    if (session.isDurable) for (const filter of session.subscriptions.keys()) rows.delete("subscription", session.id, filter);
    router.forget(session);
  }

  #drop(session: Session): void {
    if (session.isDurable) for (const packetId of session.unreleased) this.#context.rows.delete("incoming", session.id, String(packetId));
    this.silence(session);
    session.clear();
    session.detach();
    this.#remove(session);
  }

  #remove({ id, principal }: Session): void {
    this.#sessions.delete(id);
    this.#endsAt.delete(id);
    if (!this.#claims.has(id)) this.#accounts.delete(principal, id);
  }

  #putRow(clientId: string, row: SessionRow): void {
    this.#context.rows.put("owner", clientId, "", row);
  }
}

/** What of an account and its credential decides, beside its rights, what it may see. */
function rightsOf(principal: Principal): string {
  if (principal.kind === "device") return principal.uid;
  const role = principal.kind === "user" ? principal.role : "";
  return `${principal.organizationId}/${role}/${JSON.stringify(tokenScopeOf(principal) ?? {})}`;
}

function deliveryRows(rows: WriteBehind): FollowingRows {
  let sequence = Date.now() * 1_000;
  return {
    nextKey: () => String(++sequence),
    follow(key: string) {
      sequence = Math.max(sequence, Number(key));
    },
    put(clientId, { key, message, ...rest }) {
      rows.put("outgoing", clientId, key, { ...messageRow(message), ...rest });
    },
    delete: (clientId, { key }) => rows.delete("outgoing", clientId, key),
  };
}

function deliveryOf(key: string, value: Record<string, unknown>): Delivery {
  const { qos, retain, subscriptionIds, name, packetId, isReleased } = value as unknown as Delivery;
  return { key, message: messageOf(value), qos, retain, subscriptionIds, name, packetId, isReleased };
}
