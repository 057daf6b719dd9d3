/** bcrypt at cost 12 takes a core for about 300 ms: it has a thread of its own. */
import { parentPort } from "node:worker_threads";
import bcrypt from "bcryptjs";

export const COST = 12;
export type PasswordRequest = { readonly id: number; readonly plain: string /** Absent: make a hash. */; readonly hash?: string };
export type PasswordReply = { readonly id: number; readonly hash: string } | { readonly id: number; readonly matches: boolean };

parentPort?.on("message", ({ id, plain, hash }: PasswordRequest) => {
  const reply: PasswordReply =
    hash === undefined ? { id, hash: bcrypt.hashSync(plain, COST) } : { id, matches: bcrypt.compareSync(plain, hash) };
  parentPort?.postMessage(reply);
});
