import { boundedCache } from "../core/bounded-cache.ts";
import { type CommandRecord, effectOf } from "../core/command.ts";
import type { Capabilities } from "../core/device.ts";
import { type DeviceState, mergeState } from "../core/state.ts";
import type { Db } from "../store/open.ts";
import { readState } from "../store/state.ts";

const CACHED_DEVICES = 10_000;

interface Staged {
  /** How often anything had been forgotten when the transaction looked first. */
  readonly forgotten: number;
  readonly states: Map<string, DeviceState>;
}

/**
 * The outputs of the devices at three depths: as committed (cached), as a transaction will leave them, and as the
 * commands that are on their way will. Nothing of a transaction reaches the cache before {@link DeviceStates.commit}.
 */
export class DeviceStates {
  readonly #committed = boundedCache<DeviceState>(CACHED_DEVICES);
  readonly #isShared: boolean;
  /** Acknowledgements and reports of one group commit see each other's changes here. */
  readonly #staged = new WeakMap<Db, Staged>();
  /** By device, in the order of sending. */
  readonly #intended = new Map<string, Map<string, Partial<DeviceState>>>();
  #forgotten = 0;

  /** `isShared`: other nodes write the tables too, so that nothing may be remembered of them. */
  constructor(isShared: boolean) {
    this.#isShared = isShared;
  }

  /** As `db` sees it: inside a transaction with what that transaction staged. */
  async read(db: Db, deviceId: string): Promise<DeviceState> {
    const staged = db.isTransaction ? this.#stagedIn(db).states.get(deviceId) : undefined;
    const known = staged ?? this.#committed.get(deviceId);
    if (known) return known;
    const stored = await readState(db, deviceId);
    // A commit during the read is newer than what was read.
    return this.#committed.get(deviceId) ?? stored;
  }

  /** As {@link DeviceStates.read}, with what was asked and is not answered yet laid over it. */
  async expected(db: Db, deviceId: string): Promise<DeviceState> {
    const state = await this.read(db, deviceId);
    return [...(this.#intended.get(deviceId)?.values() ?? [])].reduce<DeviceState>(mergeState, state);
  }

  stage(trx: Db, deviceId: string, next: DeviceState): void {
    this.#stagedIn(trx).states.set(deviceId, next);
  }

  /** The transaction is committed. More than one call for the same transaction is harmless. */
  commit(trx: Db): void {
    const staged = this.#staged.get(trx);
    if (!staged) return;
    this.#staged.delete(trx);
    if (this.#isShared) return;
    for (const [deviceId, state] of staged.states) {
      // What was read before the tables were emptied must not come back through the cache.
      if (staged.forgotten === this.#forgotten) this.#committed.set(deviceId, state);
      else this.#committed.delete(deviceId);
    }
  }

  /** The device changed hands or is gone: its rows were removed, and what is remembered of them is wrong. */
  forget(deviceId: string): void {
    this.#forgotten++;
    this.#committed.delete(deviceId);
  }

  intend(record: CommandRecord, capabilities: Capabilities): void {
    const intentions = this.#intended.get(record.deviceId) ?? new Map<string, Partial<DeviceState>>();
    this.#intended.set(record.deviceId, intentions.set(record.id, effectOf(record.command, capabilities)));
  }

  /** The command has ended: what it did is committed, what it did not do is no longer expected. */
  fulfil({ id, deviceId }: CommandRecord): void {
    const intentions = this.#intended.get(deviceId);
    if (intentions?.delete(id) && intentions.size === 0) this.#intended.delete(deviceId);
  }

  #stagedIn(trx: Db): Staged {
    const known = this.#staged.get(trx);
    if (known) return known;
    const staged = { forgotten: this.#forgotten, states: new Map<string, DeviceState>() };
    this.#staged.set(trx, staged);
    return staged;
  }
}
