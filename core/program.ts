import type { Action, Delay, Effect } from "./action.ts";
import type { Condition } from "./condition.ts";

/** Where a run is in one list of actions; the last frame is the innermost. */
export interface Frame {
  /** The list's path in the definition, for example `/actions/2/options/0/actions`. */
  readonly list: string;
  /** Of the action that comes next. */
  readonly index: number;
  /** Turns of a repeat that are to come after this one. */
  readonly turnsLeft?: number;
}

/** What comes next, and where the run is once that is done. */
export type Step =
  | { readonly kind: "effect"; readonly path: string; readonly action: Effect; readonly frames: readonly Frame[] }
  | { readonly kind: "delay"; readonly path: string; readonly action: Delay; readonly frames: readonly Frame[] }
  | { readonly kind: "end" }
  /** It goes round and round, and finds nothing to do. */
  | { readonly kind: "endless"; readonly path: string };

/** Turns and conditions on the way to the next effect: nobody else has their turn meanwhile. */
export const MOST_TURNS = 10_000;

export const BEGIN: readonly Frame[] = [{ list: "/actions", index: 0 }];

/**
 * The next thing to do. `holds` says whether a condition of a choose or repeat is met at this moment. A definition with
 * a list that is not there, since it is another version, ends.
 */
export function nextStep(
  actions: readonly Action[],
  frames: readonly Frame[],
  holds: (condition: Condition, path: string) => boolean,
): Step {
  let stack = [...frames];
  let turns = 0;
  const asked: typeof holds = (condition, path) => {
    turns++;
    return holds(condition, path);
  };
  for (;;) {
    const frame = stack.at(-1);
    if (!frame) return { kind: "end" };
    if (++turns > MOST_TURNS) return { kind: "endless", path: frame.list };
    const outer = stack.slice(0, -1);
    const list = listAt(actions, frame.list);
    const action = list?.[frame.index];
    if (!action) {
      stack = again(actions, frame, outer, asked);
      continue;
    }
    const path = `${frame.list}/${frame.index}`;
    const after: Frame[] = [...outer, { ...frame, index: frame.index + 1 }];
    switch (action.kind) {
      case "choose": {
        const chosen = action.options.findIndex(({ condition }, index) => asked(condition, `${path}/options/${index}/condition`));
        if (chosen >= 0) after.push({ list: `${path}/options/${chosen}/actions`, index: 0 });
        else if (action.otherwise) after.push({ list: `${path}/otherwise`, index: 0 });
        stack = after;
        break;
      }
      case "repeat":
        if (!action.while || asked(action.while, `${path}/while`))
          after.push({ list: `${path}/actions`, index: 0, turnsLeft: action.times - 1 });
        stack = after;
        break;
      case "delay":
        return { kind: "delay", path, action, frames: after };
      default:
        return { kind: "effect", path, action, frames: after };
    }
  }
}

/** The end of a list: one turn more of a repeat, or back to the list around it. */
function again(
  actions: readonly Action[],
  { list, turnsLeft = 0 }: Frame,
  outer: readonly Frame[],
  holds: (condition: Condition, path: string) => boolean,
): Frame[] {
  if (turnsLeft === 0) return [...outer];
  const path = list.slice(0, list.lastIndexOf("/"));
  const repeat = actionAt(actions, path);
  const goesOn = repeat?.kind === "repeat" && (!repeat.while || holds(repeat.while, `${path}/while`));
  return goesOn ? [...outer, { list, index: 0, turnsLeft: turnsLeft - 1 }] : [...outer];
}

function listAt(actions: readonly Action[], list: string): readonly Action[] | undefined {
  if (list === "/actions") return actions;
  const [, path, place = ""] = /^(.+?)\/(options\/\d+\/actions|otherwise|actions)$/.exec(list) ?? [];
  const holder = path === undefined ? undefined : actionAt(actions, path);
  if (holder?.kind === "repeat") return place === "actions" ? holder.actions : undefined;
  if (holder?.kind !== "choose") return undefined;
  return place === "otherwise" ? holder.otherwise : holder.options[Number(place.split("/")[1])]?.actions;
}

function actionAt(actions: readonly Action[], path: string): Action | undefined {
  const cut = path.lastIndexOf("/");
  return listAt(actions, path.slice(0, cut))?.[Number(path.slice(cut + 1))];
}
