import { EventEmitter, on } from "node:events";
import ipDiscovery from "hap-controller/lib/transport/ip/ip-discovery.js";
import httpClient from "hap-controller/lib/transport/ip/http-client.js";
import { isInOwnNetwork, LAN } from "./own-network.ts";
import { until } from "./wait.ts";

// By their paths: the package's own entry loads Bluetooth.
const { default: HttpClient } = httpClient;
const { default: IpDiscovery } = ipDiscovery;
type Client = InstanceType<typeof HttpClient>;

/** What a bridge of the hub is added with (GET /api/v1/bridges/homekit/pairings). */
export interface Code {
  readonly bridge: number;
  readonly username: string;
  readonly port: number;
  readonly pin: string;
  readonly setup_uri: string;
  readonly paired: boolean;
}

/** By the names of HomeKit's specification; `id` is what is read and written. */
export interface SeenService {
  readonly kind: string;
  readonly name: string;
  readonly characteristics: Readonly<Record<string, { readonly id: string; readonly value: unknown }>>;
}
export interface SeenAccessory {
  readonly aid: number;
  readonly name: string;
  readonly uid: string;
  readonly services: readonly SeenService[];
}

const NAMES: Readonly<Record<string, string>> = {
  "8": "Brightness",
  "11": "CurrentTemperature",
  "22": "MotionDetected",
  "23": "Name",
  "25": "On",
  "30": "SerialNumber",
  "73": "ProgrammableSwitchEvent",
  CE: "ColorTemperature",
  "3E": "AccessoryInformation",
  "43": "Lightbulb",
  "47": "Outlet",
  "49": "Switch",
  "85": "MotionSensor",
  "89": "StatelessProgrammableSwitch",
  "8A": "TemperatureSensor",
};
const nameOfType = (type: string): string => {
  const short = type.slice(0, 8).replace(/^0+/, "");
  return NAMES[short] ?? short;
};

/** What Apple's Home shows as "No Response". */
export const NO_RESPONSE = -70402;

/** What a bridge says of itself on the network. */
export interface Announced {
  readonly id: string;
  readonly name: string;
  readonly port: number;
  readonly availableToPair: boolean;
  /** Grows with each change of what there is on it; controllers then look again. */
  readonly "c#": number;
}

/** The bridges that are announced around here, for as long as somebody looks (mDNS). */
export class Neighbourhood implements Disposable {
  readonly #discovery = new IpDiscovery(LAN.interface);

  constructor() {
    this.#discovery.start();
  }

  /** undefined as well where it is announced to this machine alone. */
  find(username: string): Announced | undefined {
    return this.#discovery.list().find(({ id, allAddresses }) => id === username && allAddresses.includes(LAN.address));
  }

  [Symbol.dispose](): void {
    this.#discovery.stop();
  }
}

/** Where the bridge is: as a phone finds it, or on this machine where nothing can be announced. */
async function placeOf({ username, port }: Pick<Code, "username" | "port">): Promise<{ address: string; port: number }> {
  if (!isInOwnNetwork) return { address: "127.0.0.1", port };
  using around = new Neighbourhood();
  const found = await until(() => around.find(username), { what: `${username} to be announced` });
  return { address: LAN.address, port: found.port };
}

/** An iPhone, as far as a bridge can tell: a controller of HomeKit on this machine. */
export class HomeController implements AsyncDisposable {
  readonly events = new EventEmitter<{ event: [id: string, value: unknown] }>();
  readonly #client: Client;

  private constructor(client: Client) {
    this.#client = client;
    this.#client.on("event", ({ characteristics }: { characteristics: { aid: number; iid: number; value: unknown }[] }) => {
      // Of one message the last comes first, which is how Apple's controllers read it.
      for (const { aid, iid, value } of characteristics.toReversed()) this.events.emit("event", `${aid}.${iid}`, value);
    });
  }

  /** Adds the bridge with its code. */
  static async pair(code: Code): Promise<HomeController> {
    const { address, port } = await placeOf(code);
    const found = new HttpClient(code.username, address, port, undefined, { usePersistentConnections: true });
    await found.pairSetup(code.pin);
    return new HomeController(found);
  }

  /** The same home, after the bridge has started again. */
  async again(code: Pick<Code, "username" | "port">): Promise<HomeController> {
    const known = this.#client.getLongTermData();
    await this[Symbol.asyncDispose]();
    const { address, port } = await placeOf(code);
    return new HomeController(new HttpClient(code.username, address, port, known ?? undefined, { usePersistentConnections: true }));
  }

  /** Without the bridge itself. */
  async accessories(): Promise<SeenAccessory[]> {
    const { accessories } = (await this.#client.getAccessories()) as unknown as { accessories: RawAccessory[] };
    return accessories.filter(({ aid }) => aid !== 1).map(seenOf);
  }

  /** Resolves when there are so many accessories. */
  async accessoriesOnce(count: number, timeoutMs = 15_000): Promise<SeenAccessory[]> {
    return await until(
      async () => {
        const seen = await this.accessories();
        return seen.length === count && seen;
      },
      { what: `${count} accessories`, timeoutMs },
    );
  }

  /** The value, or the status where there is none. */
  async read(id: string): Promise<unknown> {
    const { characteristics } = await this.#client.getCharacteristics([id]);
    const [one] = characteristics;
    return one?.status !== undefined && one.status !== 0 ? one.status : one?.value;
  }

  /** All at once, as one tap does it. Resolves to the statuses that are errors. */
  async write(values: Readonly<Record<string, unknown>>): Promise<number[]> {
    const answer = (await this.#client.setCharacteristics(values)) as unknown as { characteristics?: RawValue[] };
    return (answer.characteristics ?? []).map(({ status }) => status ?? 0).filter((status) => status !== 0);
  }

  async subscribe(ids: readonly string[]): Promise<void> {
    await this.#client.subscribeCharacteristics([...ids]);
  }

  /** Resolves when an event says that it has this value. */
  async heard(id: string, value: unknown, timeoutMs = 5_000): Promise<void> {
    // Several may come in one message.
    for await (const [about, said] of on(this.events, "event", { signal: AbortSignal.timeout(timeoutMs) }))
      if (about === id && said === value) return;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.close();
  }
}

interface RawValue {
  readonly value?: unknown;
  readonly status?: number;
}
interface RawAccessory {
  readonly aid: number;
  readonly services: readonly {
    readonly type: string;
    readonly characteristics: readonly { readonly type: string; readonly iid: number; readonly value?: unknown }[];
  }[];
}

function seenOf({ aid, services: raw }: RawAccessory): SeenAccessory {
  const services = raw.map(({ type, characteristics }): SeenService => {
    const of = Object.fromEntries(characteristics.map((one) => [nameOfType(one.type), { id: `${aid}.${one.iid}`, value: one.value }]));
    return { kind: nameOfType(type), name: String(of["Name"]?.value), characteristics: of };
  });
  const about = services.find(({ kind }) => kind === "AccessoryInformation");
  return { aid, name: about?.name ?? "", uid: String(about?.characteristics["SerialNumber"]?.value), services };
}

export const idOf = ({ services }: SeenAccessory, kind: string, characteristic: string, nth = 0): string =>
  services.filter((one) => one.kind === kind)[nth]?.characteristics[characteristic]?.id as string;
