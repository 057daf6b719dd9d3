import type { Command, CommandSource } from "./command.ts";
import type { HubError } from "./errors.ts";
import type { HubEvent } from "./event.ts";
import type { Actor, Scope } from "./principal.ts";

/** What one device does in a scene. */
export interface SceneCommand {
  /** A uid. */
  readonly device: string;
  readonly command: Command;
}

export interface Scene {
  readonly id: string;
  readonly organizationId: string;
  readonly name: string;
  readonly description: string | null;
  readonly commands: readonly SceneCommand[];
  readonly version: number;
  readonly createdAt: string;
  readonly updatedAt: string;
}

/** Somebody, or something, wants a scene. */
export interface SceneRequest {
  readonly scene: Scene;
  /** Where they may command devices. */
  readonly scope: Scope;
  readonly actor: Actor;
  readonly source: CommandSource;
  /** The same whenever the same is asked for again, so that no command is another one. */
  readonly attempt: string;
  /** What it follows from; without it, it is the beginning. */
  readonly cause?: {
    readonly correlationId: string;
    readonly causationId: string | null;
    readonly ruleVersion: number | null;
    readonly runId: string;
  };
}

/** What became of one command of a scene: done, or a task that waits for somebody to approve it, or what was in its way. */
export interface SceneOutcome {
  readonly device: string;
  readonly commandId: string;
  readonly taskId: string | null;
  readonly error?: HubError;
}

export interface SceneActivated {
  /** `scene.activated`, which is for the caller to commit with what it notes beside it. */
  readonly event: HubEvent;
  /** In the order of the scene's commands. */
  readonly outcomes: readonly SceneOutcome[];
  readonly failed: readonly (SceneOutcome & { readonly error: HubError })[];
}

/** All devices of a scene do their part at once; one that cannot does not hold up the others. */
export interface SceneControl {
  /** Resolves when each device has answered, or could not. */
  activate(request: SceneRequest): Promise<SceneActivated>;
  /** Resolves as soon as each command is durable; the outcomes are events. */
  begin(request: SceneRequest): Promise<SceneActivated>;
}
