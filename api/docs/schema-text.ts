/** The part of JSON Schema that the hub's payloads use. */
export interface JsonSchema {
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly const?: string | number | boolean;
  readonly anyOf?: readonly JsonSchema[];
  readonly items?: JsonSchema;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly patternProperties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxLength?: number;
  readonly maxItems?: number;
  readonly format?: string;
  readonly title?: string;
  readonly description?: string;
}

/** Name, type and `optional` of an object's fields; of the first object among alternatives. Empty for anything else. */
export function fieldRows(schema: JsonSchema): string[][] {
  const object = schema.properties ? schema : schema.anyOf?.find((one) => one.properties);
  const required = new Set(object?.required);
  return Object.entries(object?.properties ?? {}).map(([name, field]) => [
    `\`${name}\``,
    typeText(field),
    required.has(name) ? "" : "optional",
  ]);
}

/** A schema in words, for example `integer 0 to 31` or `array of { index, state }, at most 32`. */
export function typeText(schema: JsonSchema): string {
  const { enum: values, anyOf, items, properties, patternProperties, description } = schema;
  if (values) return values.map((value) => `\`${String(value)}\``).join(", ");
  if (schema.const !== undefined) return `\`${schema.const}\``;
  if (anyOf) return anyOf.map(typeText).join(" or ");
  if (items) return `array of ${typeText(items)}${schema.maxItems === undefined ? "" : `, at most ${schema.maxItems}`}`;
  if (properties) return `{ ${Object.keys(properties).join(", ")} }`;
  if (patternProperties) return `map of key to ${Object.values(patternProperties).map(typeText).join(" or ")}`;
  const base = scalarText(schema);
  return description === undefined ? base : `${base} (${description})`;
}

function scalarText(schema: JsonSchema): string {
  const { type, format, minimum, maximum, maxLength } = schema;
  if (format === "date-time") return "ISO 8601 time with a zone";
  const name = typeof type === "string" ? type : "anything";
  if (minimum !== undefined && maximum !== undefined) return `${name} ${minimum} to ${maximum}`;
  if (minimum !== undefined) return `${name} from ${minimum}`;
  return maxLength === undefined ? name : `${name}, at most ${maxLength} characters`;
}
