/** bcrypt takes a core for a tenth of a second and more: it has a thread of its own. */
import { parentPort } from "node:worker_threads";
import bcrypt from "bcryptjs";
import { costOf, nobodysHash, type PasswordReply, type PasswordRequest } from "./password-cost.ts";

parentPort?.on("message", ({ id, plain, hash, cost }: PasswordRequest) => {
  const reply: PasswordReply = hash === undefined ? { id, hash: bcrypt.hashSync(plain, cost) } : { id, matches: verify(plain, hash, cost) };
  parentPort?.postMessage(reply);
});

/** As much work as a hash of that cost is: the time must not tell a cheaper password from one that nobody has. */
function verify(plain: string, hash: string, cost: number): boolean {
  const matches = bcrypt.compareSync(plain, hash);
  const own = costOf(hash);
  // One more is twice the work, so that 2^own + 2^own + 2^(own + 1) + … + 2^(cost - 1) = 2^cost.
  if (own > 0) for (let more = own; more < cost; more++) bcrypt.compareSync("", nobodysHash(more));
  return matches;
}
