import { type Player, startCast } from "./model-cast.ts";
import type { Live } from "./model-clients.ts";
import { startFences } from "./model-fences.ts";
import { publishStep, send, subscribe, subscribeStep, unsubscribe } from "./model-messages.ts";
import { claim, release, revoke, rotate } from "./model-rights.ts";
import { isSharer, pick, PLAIN, Stage, WITNESS } from "./model-stage.ts";
import type { ConnectStep, Step } from "./model-steps.ts";
import type { Will } from "./model-terms.ts";

/** Client ids beside the devices' own, and whose they are at first. Sharers use filters that they share, and hold nothing back. */
const SLOTS = ["alice", "mallory", "home-service", "admin", "alice", "home-service", "mallory", "admin"] as const;

/** Runs of random steps on a stage. */
export class World implements AsyncDisposable {
  readonly #stage: Stage;

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  get deliveries(): number {
    return this.#stage.clients.ledger.arrivals;
  }

  get moves(): number {
    return this.#stage.moves;
  }

  /** What was done since the run began. */
  get trace(): string {
    return this.#stage.trace.join("\n");
  }

  /** Every run begins alike: no sessions but the witness's, nothing retained, and each device where it is said. */
  async begin(owners: readonly number[]): Promise<void> {
    const stage = this.#stage;
    stage.trace = [];
    if (!stage.clients.live.has(WITNESS)) {
      await stage.connect(WITNESS, stage.cast.admin, { ...PLAIN, version: 5 });
      await subscribe(stage, WITNESS, [{ filter: "#", qos: 1, noLocal: false, keepsRetain: false, retainHandling: 0, id: undefined }]);
    }
    for (const [at, device] of stage.cast.devices.entries()) {
      const wanted = owners[at] ?? 2;
      const { name: uid } = device.account;
      const isTouched = [...stage.model.retained.keys()].some((topic) => topic.startsWith(`hexa/${uid}/`));
      if (isTouched && stage.model.owners.get(uid) === undefined) await claim(stage, 0, { device, organization: 0 });
      const owner = stage.model.owners.get(uid);
      if (isTouched || owner !== stage.cast.organizations[wanted]) await release(stage, 0, device);
      if (stage.model.owners.get(uid) === undefined && wanted < 2) await claim(stage, 0, { device, organization: wanted === 0 ? 0 : 1 });
    }
  }

  async finish(): Promise<void> {
    const stage = this.#stage;
    await stage.settle();
    const others = [...stage.model.sessions].filter(([client]) => client !== WITNESS);
    for (const [client, { account, isConnected }] of others) {
      if (isConnected) await stage.end(client, "bye");
      if (!stage.model.sessions.has(client)) continue;
      await stage.connect(client, stage.cast.players.get(account.name) as Player, PLAIN);
      await stage.end(client, "bye");
    }
    const left = [...stage.model.retained.keys()].filter((topic) => topic.startsWith("hexa-app/"));
    for (const topic of left) await send(stage, WITNESS, { topic, payload: "", qos: 0, retain: true, by: WITNESS });
    await stage.settle();
  }

  /** False when there is nothing to do it with. */
  async take(step: Step): Promise<boolean> {
    const stage = this.#stage;
    switch (step.kind) {
      case "connect":
        return this.#connectStep(step);
      case "settle":
        await stage.settle();
        return true;
      case "release":
        return release(stage, step.node, stage.device(step.device));
      case "claim":
        return claim(stage, step.node, { device: stage.device(step.device), organization: step.organization });
      case "rotate":
        return rotate(stage, step.node, stage.device(step.device));
      case "revoke":
        return revoke(stage, step.node, stage.cast.players.get(step.person % 2 === 0 ? "alice" : "mallory") as Player);
      default: {
        const isFit = ([name, { holds }]: [string, Live]): boolean => name !== WITNESS && (holds || step.kind !== "acknowledge");
        const [client] = pick([...stage.clients.live].filter(isFit), step.client) ?? [];
        return client === undefined ? false : this.#takeAs(client, step);
      }
    }
  }

  async #takeAs(client: string, step: Extract<Step, { client: number }>): Promise<boolean> {
    const stage = this.#stage;
    switch (step.kind) {
      case "end":
        return stage.end(client, step.how);
      case "publish":
        return publishStep(stage, client, step);
      case "subscribe":
        return subscribeStep(stage, client, step.filters, step.id);
      case "unsubscribe":
        return unsubscribe(stage, client, step.filters);
      case "acknowledge":
        stage.note("acknowledge", client, step.isHalf ? "half" : "all");
        await stage.clients.acknowledge(client, step.isHalf);
        return true;
    }
  }

  #connectStep(step: ConnectStep): Promise<boolean> {
    const names = [...SLOTS.map((_, at) => `client-${at}`), ...this.#stage.cast.devices.map(({ account }) => account.name)];
    const players = [...this.#stage.cast.players.values()];
    const slot = step.slot % names.length;
    const client = names[slot] as string;
    const own = SLOTS[slot] === undefined ? client : SLOTS[slot];
    const player = step.player === undefined ? (this.#stage.cast.players.get(own) as Player) : (pick(players, step.player) as Player);
    return this.#stage.connect(client, player, {
      ...step,
      ...(isSharer(client) ? { holds: false, window: undefined } : {}),
      will: step.will && this.#will(player, { ...step.will, isLate: step.will.isLate && step.version === 5 }),
    });
  }

  #will({ account }: Player, { topic, isForeign, qos, retain, isLate }: NonNullable<ConnectStep["will"]>): Will {
    const name =
      account.kind === "device"
        ? `hexa/${isForeign ? "nobody-knows-it" : account.name}/availability`
        : this.#stage.bus(account.organization, topic, isForeign);
    const payload = account.kind === "device" ? "offline" : `will ${++this.#stage.count}`;
    return { message: { topic: name, payload, qos, retain }, isLate };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stage[Symbol.asyncDispose]();
  }
}

export async function startWorld(nodes: number): Promise<World> {
  const cast = await startCast(nodes);
  return new World(new Stage(cast, await startFences(cast)));
}
