import { type Command, Option } from "commander";
import { Capabilities, DeviceClass } from "../../core/device.ts";
import { DEVICE_UID } from "../../core/id.ts";
import { parserFor } from "../../core/validate.ts";
import { COMMAND_FORMS, commandFromJson, commandFromWords } from "./command-words.ts";
import { CliError, EXIT } from "./exit.ts";
import type { HubClient } from "./hub-client.ts";
import { numberOption } from "./options.ts";
import { type DeviceSummary, parseCommandAnswer, parseDeviceDetail, parseDevicePage, parseEnrolled, parseReadings } from "./replies.ts";
import type { Session } from "./session.ts";
import { confirm, facts, table } from "./terminal.ts";

const PATH = "/api/v1/devices";
const PAGE = 200;
/** The longest time limit a command may have, and some for the way. */
const COMMAND_TIMEOUT_MS = 75_000;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const parseCapabilities = parserFor(Capabilities);

export function addDeviceCommands(program: Command, session: Session): void {
  const device = program.command("device").description("enrol devices, look at them, command them");
  addAdd(device, session);
  addList(device, session);
  addShow(device, session);
  addCmd(device, session);
  addReadings(device, session);
  addRemove(device, session);
}

interface AddOptions {
  readonly class: DeviceClass;
  readonly model?: string;
  readonly serial?: string;
  readonly capabilities?: Capabilities;
}

function addAdd(device: Command, session: Session): void {
  device
    .command("add <name>")
    .description("enrol a device and print its credentials, once")
    .addOption(new Option("--class <class>", "what kind of device it is").choices(DeviceClass.enum).default("relay_controller"))
    .option("--model <model>", "its maker's name for it")
    .option("--serial <number>", "its serial number; each is enrolled once")
    .option("--capabilities <json>", "what it can do, for example '{\"relays\":2}' (default: by class)", capabilitiesOption)
    .action(async (name: string, options: AddOptions) => {
      const { class: deviceClass, model, serial, capabilities } = options;
      const body = {
        name,
        device_class: deviceClass,
        ...(model === undefined ? {} : { model }),
        ...(serial === undefined ? {} : { serial_number: serial }),
        ...(capabilities === undefined ? {} : { capabilities }),
      };
      const answer = await (await session.hub()).request("POST", PATH, { body });
      session.print(answer, () => {
        const made = parseEnrolled(answer);
        return facts([
          ["device_uid", made.device_uid],
          ["device_token", made.device_token],
          ["mqtt_url", made.mqtt_url ?? "off"],
          ["mqtts_url", made.mqtts_url ?? "off"],
          ["wss_url", made.wss_url ?? "off"],
        ]);
      });
      session.note("The device connects with client id and username = device_uid, password = device_token. The token is not shown again.");
    });
}

function capabilitiesOption(text: string): Capabilities {
  try {
    return parseCapabilities(JSON.parse(text));
  } catch (error) {
    throw new CliError(EXIT.usage, "bad_capabilities", `--capabilities: ${error instanceof Error ? error.message : String(error)}`, {
      mend: 'for example \'{"relays":2,"sensors":[{"key":"temperature","unit":"°C"}]}\'',
      cause: error,
    });
  }
}

interface ListOptions {
  readonly class?: string;
  readonly status?: string;
  readonly search?: string;
  readonly limit: number;
}

function addList(device: Command, session: Session): void {
  device
    .command("list")
    .description("the devices there are")
    .addOption(new Option("--class <class>", "of this kind").choices(DeviceClass.enum))
    .addOption(new Option("--status <status>", "in this state").choices(["online", "stale", "offline"]))
    .option("--search <text>", "with this in their name, uid, model or serial number")
    .option("--limit <count>", "at most so many", numberOption({ minimum: 1, integer: true }), 1000)
    .action(async (options: ListOptions) => {
      const { devices, hasMore } = await listDevices(await session.hub(), options);
      session.print(devices, () =>
        table(
          ["uid", "name", "class", "status", "last seen"],
          devices.map((one) => [one.uid, one.name, one.device_class, one.connection_status, one.last_seen_at ?? "never"]),
          "there are no such devices",
        ),
      );
      if (hasMore) session.note(`There are more than ${options.limit}; --limit shows them.`);
    });
}

async function listDevices(hub: HubClient, options: ListOptions): Promise<{ devices: DeviceSummary[]; hasMore: boolean }> {
  const devices: DeviceSummary[] = [];
  let cursor: string | null = null;
  do {
    const query: URLSearchParams = new URLSearchParams({ limit: String(Math.min(PAGE, options.limit - devices.length)) });
    if (cursor !== null) query.set("cursor", cursor);
    if (options.class !== undefined) query.set("device_class", options.class);
    if (options.status !== undefined) query.set("status", options.status);
    if (options.search !== undefined) query.set("search", options.search);
    const page = parseDevicePage(await hub.request("GET", `${PATH}?${query.toString()}`));
    devices.push(...page.data);
    cursor = page.next_cursor;
  } while (cursor !== null && devices.length < options.limit);
  return { devices, hasMore: cursor !== null };
}

function addShow(device: Command, session: Session): void {
  device
    .command("show <device>")
    .description("a device with its outputs and latest readings")
    .action(async (ref: string) => {
      const answer = await (await session.hub()).request("GET", pathOf(ref));
      session.print(answer, () => detailText(answer));
    });
}

function detailText(answer: unknown): string {
  const { device, state, sensors } = parseDeviceDetail(answer);
  return facts([
    ["uid", device.uid],
    ["name", device.name],
    ["class", device.device_class],
    ["status", device.connection_status],
    ["last seen", device.last_seen_at ?? "never"],
    ["model", device.model ?? "unknown"],
    ["firmware", device.firmware_version ?? "unknown"],
    ...state.relays.map((relay) => [`relay ${relay.index}`, relay.state] as const),
    ...state.lights.map((light) => [`light ${light.index}`, lightText(light)] as const),
    ...sensors.map((sensor) => [sensor.key, `${String(sensor.value)}  (${sensor.ts})`] as const),
  ]);
}

function lightText(light: { state: string; brightness?: number; color_temp?: number }): string {
  const { state, brightness, color_temp } = light;
  return [state, brightness === undefined ? "" : `${brightness} %`, color_temp === undefined ? "" : `${color_temp} K`]
    .filter((part) => part !== "")
    .join(", ");
}

interface CmdOptions {
  readonly raw?: string;
  readonly id?: string;
  readonly timeout?: number;
  readonly queue?: number;
  readonly brightness?: number;
  readonly colorTemp?: number;
  readonly transition?: number;
}

function addCmd(device: Command, session: Session): void {
  device
    .command("cmd <device> [words...]")
    .description("send a command and wait for the device's acknowledgement")
    .option("--raw <json>", "the command as JSON instead of words")
    .option("--id <command_id>", "the same id again gives the same answer and no second effect")
    .option("--timeout <ms>", "how long to wait", numberOption({ minimum: 100, maximum: 60_000, integer: true }))
    .option(
      "--queue <seconds>",
      "keep it so long for a device that is offline",
      numberOption({ minimum: 1, maximum: 86_400, integer: true }),
    )
    .option("--brightness <percent>", "of a light", numberOption({ minimum: 0, maximum: 100, integer: true }))
    .option("--color-temp <kelvin>", "of a light", numberOption({ minimum: 1000, maximum: 12_000, integer: true }))
    .option("--transition <seconds>", "of a light", numberOption({ minimum: 0, maximum: 3600 }))
    .addHelpText("after", `\nCommands:\n${COMMAND_FORMS.replace(/^/gm, "  ")}`)
    .action(async (ref: string, words: string[], options: CmdOptions) => {
      if (options.raw !== undefined && words.length > 0)
        throw new CliError(EXIT.usage, "bad_command", "give the command in words or with --raw, not both");
      const command = options.raw === undefined ? commandFromWords(words, options) : commandFromJson(options.raw);
      const body = {
        ...command,
        ...(options.id === undefined ? {} : { command_id: options.id }),
        ...(options.timeout === undefined ? {} : { timeout_ms: options.timeout }),
        ...(options.queue === undefined ? {} : { queue_for_s: options.queue }),
      };
      const answer = await (await session.hub()).request("POST", `${pathOf(ref)}/commands`, { body, timeoutMs: COMMAND_TIMEOUT_MS });
      session.print(answer, () => commandText(answer));
    });
}

function commandText(answer: unknown): string {
  const { command_id, status, latency_ms, state } = parseCommandAnswer(answer);
  const latency = typeof latency_ms === "number" ? ` in ${Math.round(latency_ms)} ms` : "";
  const result = state === undefined || state === null ? "" : `, ${typeof state === "string" ? state : JSON.stringify(state)}`;
  return `${status}${latency}${result}  (${command_id})`;
}

interface ReadingsOptions {
  readonly from?: string;
  readonly to?: string;
  readonly bucket?: string;
  readonly agg?: string;
  readonly limit: number;
}

function addReadings(device: Command, session: Session): void {
  device
    .command("readings <device> <key>")
    .description("what a sensor reported, oldest first (default: the last 24 hours)")
    .option("--from <time>", "ISO 8601 or milliseconds")
    .option("--to <time>", "ISO 8601 or milliseconds")
    .option("--bucket <span>", "one value for each span, for example 5m or 1h")
    .addOption(new Option("--agg <function>", "how a span becomes a value").choices(["avg", "min", "max", "sum", "count", "first", "last"]))
    .option("--limit <count>", "at most so many", numberOption({ minimum: 1, maximum: 10_000, integer: true }), 1000)
    .action(async (ref: string, key: string, options: ReadingsOptions) => {
      const query = new URLSearchParams({ device: named(ref), key, limit: String(options.limit) });
      for (const name of ["from", "to", "bucket", "agg"] as const) {
        const value = options[name];
        if (value !== undefined) query.set(name, value);
      }
      const answer = await (await session.hub()).request("GET", `/api/v1/readings?${query.toString()}`);
      const { data, next_cursor } = parseReadings(answer);
      session.print(answer, () =>
        table(
          ["time", key],
          data.map(({ ts, value }) => [ts, String(value)]),
          "there are no readings",
        ),
      );
      if (next_cursor !== null) session.note(`There are more than ${options.limit}; --limit or a later --from shows them.`);
    });
}

function addRemove(device: Command, session: Session): void {
  device
    .command("remove <device>")
    .description("remove a device with all of its readings")
    .option("--yes", "do not ask", false)
    .action(async (ref: string, options: { yes: boolean }) => {
      if (!options.yes && !(await confirm(session.terminal, `Remove ${ref} and all of its readings?`)))
        throw new CliError(EXIT.usage, "not_confirmed", "nothing was removed", { mend: "confirm with y, or give --yes" });
      await (await session.hub()).request("DELETE", pathOf(ref));
      session.print({ device: ref, removed: true }, () => `${ref} is removed`);
    });
}

function pathOf(ref: string): string {
  return `${PATH}/${encodeURIComponent(named(ref))}`;
}

/** A name in place of the uid, or a shell variable that is not set, is told apart here, where the list is one command away. */
function named(ref: string): string {
  if (DEVICE_UID.test(ref) || UUID.test(ref)) return ref;
  throw new CliError(EXIT.usage, "bad_device", `${JSON.stringify(ref)} is no device's uid`, {
    mend: "`npx hexahub device list` shows them",
  });
}
