/** What the cluster tells the broker. A handler that throws is logged; the message counts as handled. */
export interface ClusterHandlers {
  /** A message from a peer, kinds 0–239, in its order, each once as long as this node lives. `bytes` is a view: copy what is kept. */
  message(peerId: string, kind: number, bytes: Buffer): Promise<void> | void;
  /** A message for a node that is dead and may not have read it: from its inbox, or from this node's backlog. */
  deadMail(deadId: string, senderId: string, kind: number, bytes: Buffer): Promise<void> | void;
  /** This node takes over what a dead one left: once in the cluster, again (anywhere) when it rejects. Before its mail comes. */
  adopt(deadId: string): Promise<void>;
  /** Resolves when every session is here that this node is taking now, and everything is stored that it was to store. */
  arrivals?(): Promise<unknown> | undefined;
  /** End the connection of this client here, store what its session needs, then resolve. Also when there is none. */
  release(clientId: string): Promise<void>;
  joined?(peerId: string): void;
  /** The peer sends here what is wanted here from now on, and has stored what it did before: that is to be read. */
  known?(peerId: string): Promise<void>;
  left?(peerId: string): void;
  /** The others took this node for dead: its claims are void and its clients may be elsewhere. It goes on under `nodeId`, new. */
  fenced?(formerId: string): void;
  /** Messages may have been missed (Redis was away or lost its data, or there was a gap): load again what must be the same everywhere. */
  resync?(): void;
}
