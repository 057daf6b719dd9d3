import { useEffect } from "react";

/** The tab's name. */
export function useTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · Hexahub`;
  }, [title]);
}
