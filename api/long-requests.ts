import { endAbandonedImports } from "../store/reading-imports.ts";
import { FileThread } from "./file-thread.ts";
import { LiveStreams, type LiveStreamsContext } from "./live/live-streams.ts";
import { StreamReaders, type StreamReadersContext } from "./notifications/readers.ts";
import { ReadingImports } from "./readings/imports.ts";

type LongRequestsContext = Omit<StreamReadersContext & LiveStreamsContext, "pace"> & {
  /** No other hub works on the database. */
  readonly isAlone: boolean;
};

/** What lasts longer than a request: all of it ends before the API waits for its answers. */
export async function openLongRequests({ isAlone, ...context }: LongRequestsContext) {
  await endAbandonedImports(context.db, { isAlone, now: context.clock() });
  const parts = {
    streamReaders: new StreamReaders(context),
    liveStreams: new LiveStreams(context),
    readingImports: new ReadingImports(),
    // Ends with its last file.
    files: new FileThread(),
  };
  return {
    parts,
    async [Symbol.asyncDispose]() {
      parts.streamReaders[Symbol.dispose]();
      parts.liveStreams[Symbol.dispose]();
      await parts.readingImports[Symbol.asyncDispose]();
    },
  };
}
