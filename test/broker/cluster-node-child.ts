/** A node in a process of its own: prints what it is told as JSON lines, and says to its peers what it is sent, until it is killed. */
import { openCluster } from "../../broker/cluster.ts";
import { KIND, SILENT } from "./cluster-nodes.ts";

const [redisUrl, adopting] = process.argv.slice(2);
if (redisUrl === undefined) throw new Error("usage: cluster-node-child.ts <redis url> [never adopts]");
const print = (event: object) => void process.send?.(event);
const cluster = openCluster({
  redisUrl,
  log: SILENT,
  handlers: {
    message: (peerId, _kind, bytes) => print({ event: "message", peerId, text: bytes.toString() }),
    deadMail: (deadId, _senderId, _kind, bytes) => print({ event: "deadMail", deadId, text: bytes.toString() }),
    adopt: (deadId) => {
      print({ event: "adopt", deadId });
      return adopting === undefined ? Promise.resolve() : new Promise(() => {});
    },
    release: async (clientId) => print({ event: "release", clientId }),
    fenced: (formerId) => print({ event: "fenced", formerId, nodeId: cluster.nodeId }),
    resync: () => print({ event: "resync" }),
    left: (peerId) => print({ event: "left", peerId }),
  },
});
process.on("message", ({ say, claim, want, ask }: { say?: string; claim?: string; want?: string; ask?: string }) => {
  for (const peerId of say === undefined ? [] : cluster.peers)
    cluster.send(peerId, { kind: KIND, bytes: Buffer.from(say ?? ""), droppable: false });
  if (claim !== undefined) void cluster.claims.claim(claim).then(({ previous }) => print({ event: "claimed", clientId: claim, previous }));
  if (ask !== undefined) print({ event: "wanted", peers: cluster.interest.peersFor(ask) });
  if (want !== undefined) cluster.interest.add(want);
});
process.on("disconnect", () => process.exit(0));
await cluster.joined;
print({ event: "ready", nodeId: cluster.nodeId });
