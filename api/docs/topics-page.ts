import { Command } from "../../core/command.ts";
import { CUSTOM_PREFIX, EVENT_TYPES } from "../../core/event.ts";
import { DOWN_PAYLOADS, type DownType, UP_PAYLOADS, type UpType } from "../../core/payloads.ts";
import { TOPICS, type TopicKind, type TopicRule } from "../../core/topics.ts";
import { fence, table } from "./markdown.ts";
import { fieldRows, type JsonSchema, typeText } from "./schema-text.ts";
import { DOWN_EXAMPLES, TOPIC_EXAMPLES, type TopicExample, UP_EXAMPLES } from "./topic-examples.ts";

const ROOT = "hexa";
/** The lines of the reference use the variables that its introduction sets. */
const AS_DEVICE = '-u "$DEVICE_UID" -P "$DEVICE_TOKEN" -i "$DEVICE_UID"';
const AS_ADMINISTRATOR = '-u "$ADMIN_EMAIL" -P "$ADMIN_PASSWORD"';
const AS_SERVICE = '-u "$SERVICE_NAME" -P "$SERVICE_TOKEN"';
const TO_HUB = '-V 5 -h "$HUB" -p 8883 --cafile "$CA"';

const INTRODUCTION = `# Topics

Generated from core/topics.ts and core/payloads.ts by \`npm run docs\`.

\`${ROOT}\` is HEXA_TOPIC_ROOT. A device connects with client id and username = its uid and its token (or JWT) as the password.
It publishes under its own \`up/\` and \`availability\`, and subscribes to its own \`down/\`; nothing else. A service account
connects with its name and its token; it may use wildcards, and gets what its organisation may see.

The lines below are for mosquitto's clients, with MQTT 5 over TLS. For MQTT 3.1.1 write \`-V 311\`. For plain MQTT, on the hub's
own machine, write \`-p 1883\` and leave \`--cafile\` out. Two lines with the same \`-i\` end each other's session.
A \`set\` reaches a device that is connected and listens to its \`down/\`: a demo device, or one that a \`mosquitto_sub\` plays.

${fence(
  "sh",
  `HUB=localhost
CA=…              # "ca" in the ready line of \`npx hexahub serve --json\`; the hub also serves it as /ca.pem
DEVICE_UID=…      # both from \`npx hexahub device add "Hall relay"\`
DEVICE_TOKEN=…
SERVICE_NAME=panel
SERVICE_TOKEN=$(npx hexahub token create "$SERVICE_NAME")
ADMIN_EMAIL=…     # for $SYS alone
ADMIN_PASSWORD=…`,
)}`;

export function topicsPage(): string {
  const kinds = Object.keys(TOPICS) as TopicKind[];
  const sections = [
    INTRODUCTION,
    overview(kinds),
    "## Device to hub\n",
    ...(Object.keys(UP_PAYLOADS) as UpType[]).map((type) => section("up", UP_EXAMPLES[type], { type, schema: UP_PAYLOADS[type] })),
    "## Hub to device\n",
    ...(Object.keys(DOWN_PAYLOADS) as DownType[]).map((type) =>
      section("down", DOWN_EXAMPLES[type], { type, schema: DOWN_PAYLOADS[type] as JsonSchema }),
    ),
    "## State, control and events\n",
    ...kinds
      .filter((kind) => kind !== "up" && kind !== "down")
      .map((kind) => section(kind, TOPIC_EXAMPLES[kind], { schema: TOPICS[kind].payload as JsonSchema })),
    commands(),
    eventTypes(),
  ];
  return `${sections.map((text) => text.trim()).join("\n\n")}\n`;
}

function overview(kinds: readonly TopicKind[]): string {
  const rows = kinds.map((kind) => {
    const rule = TOPICS[kind];
    return [
      `\`${patternOf(rule)}\``,
      rule.direction,
      payloadText(kind, rule),
      String(rule.qos),
      retainText(rule),
      rule.durable && rule.publish !== "nobody" ? "after its effect is committed" : "",
    ];
  });
  return table(["topic", "direction", "payload", "QoS", "retained", "QoS 1 is acknowledged"], rows);
}

function patternOf(rule: TopicRule, type?: string): string {
  const pattern = rule.pattern.replace("{root}", ROOT);
  return (type === undefined ? pattern : pattern.replace("{type}", type)).replace(/\{(\w+)\}/g, "<$1>");
}

function payloadText(kind: TopicKind, rule: TopicRule): string {
  if (kind === "up") return `JSON by type: ${Object.keys(UP_PAYLOADS).join(", ")}`;
  if (kind === "down") return `JSON by type: ${Object.keys(DOWN_PAYLOADS).join(", ")}`;
  const schema = rule.payload as JsonSchema;
  return schema.enum ? schema.enum.map((value) => `\`${String(value)}\``).join(", ") : (schema.description ?? "JSON");
}

function retainText(rule: TopicRule): string {
  return { yes: "yes", no: "no", refused: "no; a retained publish is refused", config: "only `config`" }[rule.retain];
}

function section(kind: TopicKind, example: TopicExample, about: { type?: string; schema: JsonSchema }): string {
  const rule = TOPICS[kind];
  const { type, schema } = about;
  const fields = fieldRows(schema);
  return [
    `### \`${patternOf(rule, type)}\``,
    example.note ?? "",
    fields.length === 0 ? "" : table(["field", "type", ""], fields),
    fence(example.payload.startsWith("{") ? "json" : "text", example.payload),
    example.isReserved ? "" : fence("sh", linesFor(kind, rule, example, type).join("\n")),
  ]
    .filter((part) => part !== "")
    .join("\n\n");
}

function linesFor(kind: TopicKind, rule: TopicRule, example: TopicExample, type: string | undefined): string[] {
  const topic = shellTopic(rule, type);
  const message = `-t "${topic}" -m '${example.payload}'`;
  const retain = kind === "availability" ? " -r" : "";
  const read = { device: AS_DEVICE, platform: AS_ADMINISTRATOR }[rule.subscribe as string] ?? AS_SERVICE;
  const subscribe = `mosquitto_sub ${TO_HUB} ${read} -v -q ${rule.qos} -t "${topic}"`;
  switch (rule.publish) {
    case "device":
      return [`mosquitto_pub ${TO_HUB} ${AS_DEVICE} -q 1${retain} ${message}`, subscribe];
    case "control":
    case "members":
    case "service":
      return [`mosquitto_pub ${TO_HUB} ${AS_SERVICE} -q 1 ${message}`, ...(rule.subscribe === "nobody" ? [] : [subscribe])];
    case "nobody":
      return [subscribe];
  }
}

/** The topic with shell variables or example levels in place of the variable ones. */
function shellTopic(rule: TopicRule, type: string | undefined): string {
  const levels: Record<string, string> = {
    root: ROOT,
    uid: "$DEVICE_UID",
    index: "0",
    key: "temperature",
    button: "identify",
    organization: rule.publish === "members" ? "$ORGANIZATION_ID" : "+",
    user: "+",
    type: type ?? "+",
  };
  return (
    rule.pattern
      .replace(/\{(\w+)\}/g, (_, name: string) => levels[name] ?? "+")
      .replace("…", rule.publish === "members" ? "any/name" : "#")
      .replace(/#\/.*/, "#")
      // Not a variable of the shell.
      .replace("$SYS", "\\$SYS")
  );
}

function commands(): string {
  const branches = (Command as unknown as { oneOf: JsonSchema[] }).oneOf;
  const rows = branches.map((branch) => {
    const { command, ...fields } = branch.properties ?? {};
    const required = new Set(branch.required);
    const list = Object.entries(fields).map(([name, schema]) => `\`${name}\`${required.has(name) ? "" : "?"}: ${typeText(schema)}`);
    return [`\`${String(command?.const)}\``, list.join("; ")];
  });
  return `## Commands\n\nWhat \`down/command\` and \`POST /api/v1/devices/:id/commands\` carry. The hub resolves \`TOGGLE\` before it sends, so that a repeated delivery cannot toggle twice.\n\n${table(["command", "fields"], rows)}`;
}

function eventTypes(): string {
  const rows = Object.entries({
    ...EVENT_TYPES,
    [`${CUSTOM_PREFIX}<name>`]: "what somebody published with `POST /api/v1/events`: whatever they like",
  }).map(([type, data]) => [`\`${type}\``, data]);
  return `## Event types\n\n${table(["type", "when, and what `data` holds"], rows)}`;
}
