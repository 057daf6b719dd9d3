import { Button, type ButtonProps } from "@mantine/core";
import { createLink } from "@tanstack/react-router";
import type { AnchorHTMLAttributes, Ref } from "react";

/** Goes to a page, and looks like something that is done. */
export const LinkButton = createLink(
  ({
    ref,
    ...props
  }: ButtonProps & Omit<AnchorHTMLAttributes<HTMLAnchorElement>, keyof ButtonProps> & { ref?: Ref<HTMLAnchorElement> }) => (
    <Button component="a" {...(ref ? { ref } : {})} {...props} />
  ),
);
