import { JsonInput } from "@mantine/core";
import type { GetInputPropsReturnType } from "@mantine/form";

/** Any JSON, which the hub checks. */
export const JsonField = ({
  label,
  description,
  ...props
}: GetInputPropsReturnType & { readonly label: string; readonly description?: string }) => (
  <JsonInput
    label={label}
    description={description}
    required
    autosize
    minRows={2}
    maxRows={24}
    spellCheck={false}
    styles={{ input: { fontFamily: "var(--mantine-font-family-monospace)" } }}
    {...props}
  />
);

export const jsonText = (value: unknown): string => JSON.stringify(value, null, 2);

/** Throws with this message when it is no JSON. */
export function parseJson(text: string, message: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new Error(message, { cause: error });
  }
}
