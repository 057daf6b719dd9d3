import { useMutation } from "@tanstack/react-query";
import { queries } from "../hub/queries.ts";
import { useTellFailure } from "./failed.tsx";

/** Does something, says why when it could not be done, and asks anew for all whose key begins with `key`. */
export function useChange<Input, Result>(key: string, run: (input: Input) => Promise<Result>, onDone?: (result: Result) => void) {
  const tellFailure = useTellFailure();
  return useMutation({
    mutationFn: run,
    onSuccess: (result) => onDone?.(result),
    onError: (error) => tellFailure(error),
    onSettled: () => queries.invalidateQueries({ queryKey: [key] }),
  });
}
