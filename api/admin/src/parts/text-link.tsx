import { Anchor, type AnchorProps } from "@mantine/core";
import { createLink } from "@tanstack/react-router";
import type { AnchorHTMLAttributes, Ref } from "react";

/** Goes to a page of the console. */
export const TextLink = createLink(
  ({
    ref,
    ...props
  }: AnchorProps & Omit<AnchorHTMLAttributes<HTMLAnchorElement>, keyof AnchorProps> & { ref?: Ref<HTMLAnchorElement> }) => (
    <Anchor {...(ref ? { ref } : {})} {...props} />
  ),
);
