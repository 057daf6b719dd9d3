import { Button, type ButtonProps } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { createLink } from "@tanstack/react-router";
import type { AnchorHTMLAttributes, Ref } from "react";
import { rightsOf } from "../hub/rights.ts";
import { me } from "../hub/session.ts";
import { mayOpen } from "../shell/needs.ts";

type Props = ButtonProps & Omit<AnchorHTMLAttributes<HTMLAnchorElement>, keyof ButtonProps> & { ref?: Ref<HTMLAnchorElement> };

/** Goes to a page, and looks like something that is done; it is not there for whoever is known not to be let onto the page. */
export const LinkButton = createLink(({ ref, ...props }: Props) => {
  const { data } = useQuery({ ...me, enabled: false });
  if (data && !mayOpen(rightsOf(data), new URL(props.href ?? "", location.origin).pathname)) return null;
  return <Button component="a" {...(ref ? { ref } : {})} {...props} />;
});
