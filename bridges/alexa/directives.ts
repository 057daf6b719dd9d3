import { createHash } from "node:crypto";
import {
  alexaError,
  AlexaError,
  alexaEvent,
  type AlexaAsker,
  type AlexaDirective,
  type AlexaDoor,
  type AlexaEvent,
} from "../../core/alexa.ts";
import type { Bus, Commands, EventSink, Log, Metrics } from "../../core/bus.ts";
import type { Command } from "../../core/command.ts";
import { HubError } from "../../core/errors.ts";
import { type HubEvent, newAudit } from "../../core/event.ts";
import { isUuid } from "../../core/id.ts";
import { pressOf } from "../../core/ir-signal.ts";
import { may, mayOn, scopeOf } from "../../core/permissions.ts";
import { actorOf } from "../../core/principal.ts";
import type { SceneControl } from "../../core/scene.ts";
import { insertAudit } from "../../store/audit.ts";
import { findCommand } from "../../store/commands.ts";
import { insertEvents } from "../../store/events.ts";
import { readHomeFacts } from "../../store/home-facts.ts";
import { getIrCode } from "../../store/ir-codes.ts";
import type { Db } from "../../store/open.ts";
import { getScene, listScenes } from "../../store/scenes.ts";
import { inTransaction } from "../../store/transaction.ts";
import { type Wanted, wantedBy } from "./control.ts";
import { type DeviceEndpoint, endpointsFor, endpointsOf, type HomeScene, MOST_ENDPOINTS, sceneIdOf, uidOf } from "./endpoints.ts";
import { alexaErrorOf } from "./errors.ts";
import type { Houses } from "./houses.ts";
import { describe, propertiesOf } from "./properties.ts";

export interface DirectivesContext {
  readonly db: Db;
  readonly houses: Houses;
  readonly bus: Bus;
  readonly commands: Commands;
  readonly scenes: SceneControl;
  readonly events: EventSink;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly clock: () => number;
  /** For a code of Alexa's, the right to tell it things unasked. Throws {@link AlexaError}. */
  readonly acceptGrant: (code: string, asker: AlexaAsker) => Promise<void>;
}

/** Alexa waits 8 s, and the way here takes its time. */
const BUDGET_MS = 5_000;
const COMMAND_MS = 4_500;

/** Answers what Alexa wants. */
export function createDirectives(context: DirectivesContext): AlexaDoor {
  const { metrics, log } = context;
  return {
    async answer(directive, asker) {
      const interfaceName = KNOWN.has(directive.header.namespace) ? directive.header.namespace : "unknown";
      const late = deadline(directive);
      try {
        const event = await Promise.race([handle(context, directive, asker), late.promise]);
        metrics.count("hexahub_alexa_directives_total", { interface: interfaceName, result: "ok" });
        return event;
      } catch (error) {
        const known = alexaErrorOf(error);
        if (!known || known.type === "INTERNAL_ERROR") log.error({ err: error, interface: interfaceName }, "a directive of Alexa failed");
        const told = known ?? new AlexaError("INTERNAL_ERROR", `the hub failed; its log has it under ${asker.requestId}`);
        metrics.count("hexahub_alexa_directives_total", { interface: interfaceName, result: told.type });
        return alexaError(directive, told);
      } finally {
        clearTimeout(late.timer);
      }
    },
  };
}

/** For metrics: whoever sends anything else makes no label of it. */
const KNOWN: ReadonlySet<string> = new Set([
  "Alexa",
  ...["Discovery", "Authorization", "PowerController", "BrightnessController", "PercentageController", "ToggleController"].map(
    (name) => `Alexa.${name}`,
  ),
  ...["ColorTemperatureController", "RangeController", "ModeController", "SceneController"].map((name) => `Alexa.${name}`),
]);

function deadline({ endpoint }: AlexaDirective) {
  const { promise, reject } = Promise.withResolvers<never>();
  const type = endpoint ? "ENDPOINT_UNREACHABLE" : "INTERNAL_ERROR";
  const timer = setTimeout(() => reject(new AlexaError(type, "there was no answer in time")), BUDGET_MS);
  return { promise, timer };
}

async function handle(context: DirectivesContext, directive: AlexaDirective, asker: AlexaAsker): Promise<AlexaEvent> {
  const { namespace, name, payloadVersion } = directive.header;
  if (payloadVersion !== "3") throw new AlexaError("INVALID_DIRECTIVE", `the hub knows version 3 of the messages, not ${payloadVersion}`);
  switch (`${namespace}.${name}`) {
    case "Alexa.Discovery.Discover":
      return await discover(context, directive, asker);
    case "Alexa.Authorization.AcceptGrant":
      await context.acceptGrant(codeOf(directive), asker);
      return alexaEvent({ namespace, name: "AcceptGrant.Response" }, directive);
    default: {
      const id = directive.endpoint?.endpointId;
      if (id === undefined) throw new AlexaError("INVALID_DIRECTIVE", "the directive names no endpoint");
      const sceneId = sceneIdOf(id);
      if (sceneId !== undefined) return await ofScene(context, directive, { asker, sceneId });
      return await ofDevice(context, directive, { asker, endpointId: id });
    }
  }
}

async function discover({ db, houses }: DirectivesContext, directive: AlexaDirective, asker: AlexaAsker): Promise<AlexaEvent> {
  const { organizationId } = asker.principal;
  const [home, facts, scenes] = await Promise.all([houses.of(organizationId), readHomeFacts(db, organizationId), scenesFor(db, asker)]);
  const { all: endpoints } = endpointsFor({ devices: home.values(), facts, scenes, rights: asker.rights });
  return alexaEvent({ namespace: "Alexa.Discovery", name: "Discover.Response", payload: { endpoints } }, directive);
}

/** For whoever may see scenes: one may have any device of the organisation in it. */
export async function scenesFor(db: Db, { principal, rights }: Pick<AlexaAsker, "principal" | "rights">): Promise<readonly HomeScene[]> {
  const { organizationId } = principal;
  if (!may(rights, "automation.read", organizationId) || !may(rights, "device.control", organizationId)) return [];
  return (await listScenes(db, { kind: "organization", organizationId }, { limit: MOST_ENDPOINTS })).items;
}

function codeOf({ payload }: AlexaDirective): string {
  const grant = payload?.["grant"];
  const code = typeof grant === "object" && grant !== null && "code" in grant ? grant.code : undefined;
  if (typeof code !== "string" || code === "" || code.length > 4_096) throw new AlexaError("ACCEPT_GRANT_FAILED", "there is no code in it");
  return code;
}

interface OfDevice {
  readonly asker: AlexaAsker;
  readonly endpointId: string;
}

async function ofDevice(context: DirectivesContext, directive: AlexaDirective, { asker, endpointId }: OfDevice): Promise<AlexaEvent> {
  const { db, clock } = context;
  const { organizationId } = asker.principal;
  const found = await findEndpoint(context, endpointId, asker);
  const { device } = found;
  const factsNow = async () => (await readHomeFacts(db, organizationId, device.id)).get(device.id);
  const facts = await factsNow();
  const { namespace, name } = directive.header;
  if (namespace === "Alexa" && name === "ReportState") {
    const properties = propertiesOf(withColor(found, facts), facts, clock());
    return alexaEvent({ name: "StateReport", endpointId, properties: [...properties] as never }, directive);
  }
  const wanted = wantedBy(directive, found, facts);
  if (!mayOn(asker.rights, "device.control", device))
    throw new AlexaError("INSUFFICIENT_PERMISSIONS", "this takes the permission device.control on the device");
  await send(context, directive, { asker, found, wanted });
  const after = await factsNow();
  const properties = propertiesOf(withColor(found, after), after, clock());
  const said = "irCode" in wanted ? [{ ...describe("ModeController.mode", `code:${wanted.irCode}`, clock()), instance: "code" }] : [];
  return alexaEvent({ name: "Response", endpointId, properties: [...said, ...properties] as never }, directive);
}

/** What of a light Alexa may be told can have changed meanwhile. */
const withColor = (found: DeviceEndpoint, facts: Parameters<typeof propertiesOf>[1]): DeviceEndpoint =>
  endpointsOf(found.device, facts).find(({ description }) => description.endpointId === found.description.endpointId) ?? found;

/** Of what the asker may see. Throws `NO_SUCH_ENDPOINT`. */
async function findEndpoint({ houses }: DirectivesContext, endpointId: string, { principal, rights }: AlexaAsker): Promise<DeviceEndpoint> {
  const uid = uidOf(endpointId);
  for (const device of (await houses.of(principal.organizationId)).values()) {
    if (device.uid !== uid) continue;
    if (!device.exposure.alexa || !mayOn(rights, "device.read", device)) break;
    const found = endpointsOf(device, undefined).find(({ description }) => description.endpointId === endpointId);
    if (found) return found;
  }
  throw new AlexaError("NO_SUCH_ENDPOINT", "there is no such endpoint");
}

interface Sending {
  readonly asker: AlexaAsker;
  readonly found: DeviceEndpoint;
  readonly wanted: Wanted;
}

const RELATIVE = /^(Adjust|Increase|Decrease)/;

/** Throws for all that is not done. */
async function send({ db, commands }: DirectivesContext, directive: AlexaDirective, { asker, found, wanted }: Sending): Promise<void> {
  const { principal, rights, requestId } = asker;
  const scope = scopeOf(rights, "device.control");
  const commandId = commandIdOf(directive, asker);
  // How bright is brighter was worked out when Alexa asked for the first time.
  const earlier = RELATIVE.test(directive.header.name) ? await findCommand(db, scope, commandId) : undefined;
  const command = earlier?.deviceId === found.device.id ? earlier.command : await commandOf(db, found, wanted);
  const result = await commands.send({
    device: found.device.id,
    scope,
    command,
    commandId,
    actor: actorOf(principal),
    source: "alexa",
    timeoutMs: COMMAND_MS,
    correlationId: requestId,
  });
  if (result.status === "awaiting_confirmation")
    throw new AlexaError("INSUFFICIENT_PERMISSIONS", `somebody has to approve it in Hexahub first: task ${result.taskId}`);
}

/** The same for every repetition of a message, and for nobody else's. */
function commandIdOf({ header }: AlexaDirective, { principal }: AlexaAsker): string {
  const text = JSON.stringify([principal.organizationId, header.messageId]);
  return `alexa.${createHash("sha256").update(text).digest("base64url")}`;
}

async function commandOf(db: Db, { device }: DeviceEndpoint, wanted: Wanted): Promise<Command> {
  if ("command" in wanted) return wanted.command;
  const code = await getIrCode(db, device, wanted.irCode).catch((cause: unknown) => {
    if (!(cause instanceof HubError) || cause.code !== "not_found") throw cause;
    throw new AlexaError("INVALID_VALUE", "there is no such code any more", { cause });
  });
  return { command: "ir_send", ...pressOf(code.signal) };
}

interface OfScene {
  readonly asker: AlexaAsker;
  readonly sceneId: string;
}

/** Begins it: what becomes of each command Alexa is told by the devices' states. */
async function ofScene(context: DirectivesContext, directive: AlexaDirective, { asker, sceneId }: OfScene): Promise<AlexaEvent> {
  const { namespace, name } = directive.header;
  const { principal, rights } = asker;
  const { organizationId } = principal;
  if (!isUuid(sceneId) || scopeOf(rights, "device.control").kind === "devices")
    throw new AlexaError("NO_SUCH_ENDPOINT", "there is no such endpoint");
  const scope = { kind: "organization", organizationId } as const;
  const scene = await getScene(context.db, scope, sceneId);
  const endpointId = directive.endpoint?.endpointId as string;
  if (namespace === "Alexa" && name === "ReportState") return alexaEvent({ name: "StateReport", endpointId, properties: [] }, directive);
  if (`${namespace}.${name}` !== "Alexa.SceneController.Activate")
    throw new AlexaError("INVALID_DIRECTIVE", `a scene does not know ${namespace}.${name}`);
  const { event, outcomes, failed } = await context.scenes.begin({
    scene,
    scope,
    actor: actorOf(principal),
    source: "alexa",
    attempt: commandIdOf(directive, asker),
  });
  const [first] = failed;
  if (first && failed.length === outcomes.length) throw first.error;
  await noteScene(context, event, { commands: outcomes.length, failed: failed.length, requestId: asker.requestId });
  const payload = { cause: { type: "VOICE_INTERACTION" }, timestamp: event.timestamp };
  return alexaEvent({ namespace, name: "ActivationStarted", endpointId, payload, properties: [] }, directive);
}

async function noteScene(
  { db, events, clock }: DirectivesContext,
  event: HubEvent,
  { requestId, ...details }: { readonly commands: number; readonly failed: number; readonly requestId: string },
): Promise<void> {
  const { organizationId, actor, entityId: resourceId, correlationId } = event;
  const about = { organizationId, actor, resourceType: "scene", resourceId, requestId, correlationId };
  await inTransaction(db, async (trx) => {
    await insertEvents(trx, [event]);
    await insertAudit(trx, [newAudit({ ...about, action: "scene.activate", details: { ...details, by: "alexa" }, now: clock() })]);
  });
  await events.emit([event]);
}
