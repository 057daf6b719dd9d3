import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";

/**
 * A process full of clients, as a fleet comes back: started by {@link startFleet}. It gets a {@link FleetOrder} by IPC, opens
 * all connections as fast as the node takes them, tries again whoever is turned away, and tells how far it is.
 */
export interface FleetOrder {
  readonly port: number;
  readonly isTls: boolean;
  /** CONNECT packets, one a client, in base64. */
  readonly connects: readonly string[];
  /** Connections that may be on their way at once. */
  readonly atOnce: number;
  /** Whether each client pings, says good-bye and makes room for the next, or stays. */
  readonly isVisit: boolean;
  /** How often all of them come; 1 for clients that stay. */
  readonly rounds: number;
}
export interface FleetReport {
  readonly connected: number;
  readonly visits: number;
  readonly failures: number;
}

const CONNACK_BYTES = 4;
const PINGREQ_AND_DISCONNECT = Buffer.from([0xc0, 0, 0xe0, 0]);
const REPORT_MS = 100;

if (process.send) process.once("message", (order) => runFleet(order as FleetOrder));

function runFleet({ port, isTls, connects, atOnce, isVisit, rounds }: FleetOrder): void {
  const packets = connects.map((text) => Buffer.from(text, "base64"));
  const total = packets.length * rounds;
  let next = 0;
  let onTheWay = 0;
  let connected = 0;
  let visits = 0;
  let failures = 0;
  const again: number[] = [];

  function come(index: number): void {
    onTheWay++;
    let isIn = false;
    const socket: Socket = isTls ? connectTls({ port, host: "127.0.0.1", rejectUnauthorized: false }) : connectTcp(port, "127.0.0.1");
    let got = 0;
    socket.write(packets[index] as Buffer);
    socket.on("data", (chunk: Buffer) => {
      got += chunk.length;
      if (isIn || got < CONNACK_BYTES) return;
      if (chunk[3] !== 0) return void socket.destroy();
      isIn = true;
      connected++;
      if (!isVisit) onTheWay--;
      else socket.write(PINGREQ_AND_DISCONNECT);
      more();
    });
    socket.on("error", () => undefined);
    socket.on("close", () => {
      if (isIn) connected--;
      if (isIn && isVisit) visits++;
      if (!isIn) {
        failures++;
        again.push(index);
      }
      if (!isIn || isVisit) onTheWay--;
      setImmediate(more);
    });
  }

  function more(): void {
    while (onTheWay < atOnce) {
      const index = again.pop() ?? (next < total ? next++ % packets.length : undefined);
      if (index === undefined) return;
      come(index);
    }
  }

  more();
  setInterval(() => process.send?.({ connected, visits, failures } satisfies FleetReport), REPORT_MS);
}
