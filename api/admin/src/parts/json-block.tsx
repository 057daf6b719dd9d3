import { Code } from "@mantine/core";

/** Wraps: what is wider than its place could be scrolled by the mouse alone. */
export function JsonBlock({ value }: { readonly value: unknown }) {
  return (
    <Code block style={{ whiteSpace: "pre-wrap", overflowWrap: "anywhere" }}>
      {JSON.stringify(value, null, 2)}
    </Code>
  );
}
