import { Duplex } from "node:stream";
import type { RawData, WebSocket } from "ws";

/** A WebSocket as the stream that a connection is: what Aedes and the broker read from and write to. */
export interface WebSocketDuplex extends Duplex {
  /** Gives the close frame its code. It goes out with the stream's end, or a second from now if that does not come. */
  readonly socket: { close(code: number, reason: string): void };
  /** Sends a ping if nothing came since the last call; ends a connection that left the last one unanswered. */
  checkAlive(): void;
  /** Ends the connection without a good-bye. */
  cut(): void;
}

/** Writes that wait for the socket share a frame of up to this size. */
const FRAME_BYTES = 65_536;
const CLOSE_MS = 1_000;
type Done = (error?: Error | null) => void;
const BINARY = { binary: true } as const;

/**
 * One binary frame a write, and the next one when the socket has taken the last, so that `writableLength` is what the
 * client has not taken; reading stops when nobody takes what came. A text frame ends the connection [MQTT-6.0.0-1].
 */
export function webSocketStream(socket: WebSocket): WebSocketDuplex {
  let isAlive = true;
  let closing: { code: number; reason: string } | undefined;
  const close = (): void => {
    socket.close(closing?.code ?? 1_000, closing?.reason);
    // Or the answer to the close frame would not be read.
    if (socket.isPaused) socket.resume();
  };

  /** One after the other: what is not sent yet is not copied yet. */
  function sendAll(frames: Iterator<Buffer>, done: Done): void {
    const { value, done: isLast } = frames.next();
    if (isLast) done();
    else send(value, (error) => (error ? done(error) : sendAll(frames, done)));
  }
  function send(frame: Buffer, done: Done): void {
    // What is written to a connection that is being closed is lost, as on any other socket.
    if (socket.readyState !== socket.OPEN) return done();
    let isTaken = false;
    function taken(error?: Error | null): void {
      if (isTaken) return;
      isTaken = true;
      done(error);
    }
    socket.send(frame, BINARY, taken);
    // As a socket does: what went out at once waits for nobody.
    if (socket.bufferedAmount === 0) taken();
  }

  const stream = Object.assign(
    new Duplex({
      decodeStrings: true,
      read() {
        if (socket.isPaused) socket.resume();
      },
      write: (chunk: Buffer, _encoding, done) => send(chunk, done),
      writev: (chunks, done) => sendAll(framesOf(chunks.map(({ chunk }) => chunk as Buffer)), done),
      final(done) {
        close();
        done();
      },
      destroy(error, done) {
        // A broken peer gets no good-bye that it would have to answer.
        if (error) socket.terminate();
        else close();
        done(error);
      },
    }),
    {
      socket: {
        close(code: number, reason: string): void {
          closing ??= { code, reason };
          setTimeout(() => stream.destroy(), CLOSE_MS).unref();
        },
      },
      checkAlive(): void {
        // Pongs of a client that is not read from do not arrive.
        if (socket.isPaused || socket.readyState !== socket.OPEN) return;
        if (!isAlive) return socket.terminate();
        isAlive = false;
        socket.ping();
      },
      cut(): void {
        socket.terminate();
        stream.destroy();
      },
    },
  );

  receive(socket, stream, {
    alive() {
      isAlive = true;
    },
    refuseText() {
      closing = { code: 1_003, reason: "MQTT is binary" };
      stream.destroy();
    },
  });
  return stream;
}

/** From the socket into the stream. */
function receive(socket: WebSocket, stream: Duplex, { alive, refuseText }: { alive: () => void; refuseText: () => void }): void {
  /** What one read of the socket brought: a push costs more than a small packet. */
  let came: Buffer[] = [];
  function pushAll(): void {
    const chunks = came;
    came = [];
    if (chunks.length > 0 && !stream.destroyed && !stream.push(joined(chunks))) socket.pause();
  }
  socket.on("message", (data: RawData, isBinary: boolean) => {
    alive();
    if (!isBinary) {
      pushAll();
      refuseText();
      // After this read, and before the next.
    } else if (came.push(data as Buffer) === 1) process.nextTick(pushAll);
  });
  for (const sign of ["ping", "pong"] as const) socket.on(sign, alive);
  // A frame that is none: `ws` closes with the code for it.
  socket.on("error", () => stream.destroy());
  socket.on("close", () => {
    pushAll();
    // What came before is still read, and the stream is destroyed after that.
    if (stream.destroyed) return;
    stream.push(null);
    stream.end();
  });
}

/** Chunks that fit together are joined; a large one stays as it is. */
function* framesOf(chunks: readonly Buffer[]): Generator<Buffer> {
  let frame: Buffer[] = [];
  let bytes = 0;
  for (const chunk of chunks) {
    if (frame.length > 0 && bytes + chunk.length > FRAME_BYTES) {
      yield joined(frame);
      frame = [];
      bytes = 0;
    }
    frame.push(chunk);
    bytes += chunk.length;
  }
  if (frame.length > 0) yield joined(frame);
}

const joined = (chunks: readonly Buffer[]): Buffer => (chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks));
