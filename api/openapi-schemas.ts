type Json = Record<string, unknown>;

/**
 * A plain copy in which every titled schema is a reference to its component, and which says how large a value can get where
 * the schema leaves it open. Throws for two different schemas of one title.
 */
export function hoist(schema: unknown, components: Map<string, unknown>): unknown {
  if (Array.isArray(schema)) return schema.map((item) => hoist(item, components));
  if (typeof schema !== "object" || schema === null) return schema;
  const copy = bounded(Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, hoist(value, components)])));
  if (copy["discriminator"] !== undefined) copy["discriminator"] = mapped(copy, components);
  const { title } = copy;
  if (typeof title !== "string") return copy;
  const before = components.get(title);
  if (before !== undefined && JSON.stringify(before) !== JSON.stringify(copy))
    throw new Error(`two different schemas have the title ${title}`);
  components.set(title, copy);
  return { $ref: `#/components/schemas/${title}` };
}

/** Which schema a value stands for: without it the values would have to be the schemas' names. Nothing where one of them has no name. */
function mapped({ discriminator, oneOf }: Json, components: ReadonlyMap<string, unknown>): Json | undefined {
  const { propertyName } = discriminator as { readonly propertyName: string };
  const mapping: Record<string, string> = {};
  for (const { $ref } of oneOf as readonly { readonly $ref?: string }[]) {
    const named = components.get(($ref ?? "").slice("#/components/schemas/".length)) as { properties?: Record<string, Json> } | undefined;
    const { const: only, enum: values = [only] } = named?.properties?.[propertyName] ?? {};
    if ($ref === undefined || named === undefined) return undefined;
    for (const value of values as readonly unknown[]) mapping[String(value)] = $ref;
  }
  return { propertyName, mapping };
}

/** As much as a body may have. */
const MAX_CHARS = 1_048_576;
/** The least that an item of a list takes. */
const MAX_ITEMS = MAX_CHARS / 2;

/** Bounds that hold for every value of the API, so that whoever generates a client need not guess. */
function bounded(schema: Json): Json {
  const types = [schema["type"]].flat();
  const isOpen = (...names: string[]): boolean => names.every((name) => schema[name] === undefined);
  return {
    ...schema,
    ...(types.includes("string") && isOpen("maxLength", "enum", "const") ? { maxLength: MAX_CHARS } : {}),
    ...(types.includes("array") && isOpen("maxItems", "enum", "const") ? { maxItems: MAX_ITEMS } : {}),
    ...(types.includes("integer") ? integerBounds(schema) : {}),
  };
}

/** Numbers are those of JSON in every language: beyond these they would not be whole any more. */
function integerBounds({ minimum = Number.MIN_SAFE_INTEGER, maximum = Number.MAX_SAFE_INTEGER }: Json): Json {
  const isSmall = Number(minimum) >= -(2 ** 31) && Number(maximum) < 2 ** 31;
  return { minimum, maximum, format: isSmall ? "int32" : "int64" };
}
