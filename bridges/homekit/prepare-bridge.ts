import { createServer } from "node:net";
import { createAccessToken, findAccessToken, revokeAccessToken } from "../../store/access-tokens.ts";
import { type HomekitBridge, putHomekitBridge, readHomekitBridges } from "../../store/homekit.ts";
import type { SmartHomeContext } from "../open-bridges.ts";
import { newIdentity } from "./identity.ts";

type Context = Pick<SmartHomeContext, "clock" | "db" | "encryption" | "keys">;

/**
 * The bridge of that number, made if there was none, with an account of the hub that works. `isPortTaken`: with another port than before.
 */
export async function prepareBridge(
  context: Context,
  { organizationId, number }: { readonly organizationId: string; readonly number: number },
  isPortTaken = false,
): Promise<HomekitBridge> {
  const { db, clock, keys } = context;
  const known = (await readHomekitBridges(context, organizationId)).find((one) => one.number === number);
  const scope = { kind: "organization", organizationId } as const;
  const account = known && (await findAccessToken(db, scope, { id: known.tokenId }));
  const isSound = account?.revokedAt === null;
  if (known && isSound && !isPortTaken) return known;
  const { pin, ...identity } = newIdentity();
  const accountName = `homekit-${number}-${identity.setupId.toLowerCase()}`;
  const { id: tokenId, token } = await createAccessToken(db, keys, {
    kind: "service",
    name: accountName,
    purpose: "homekit",
    organizationId,
    permissions: ["device.read", "device.control"],
  });
  const bridge: HomekitBridge = {
    number,
    port: known && !isPortTaken ? known.port : await freePort(),
    ...(known ? { username: known.username, setupId: known.setupId } : identity),
    tokenId,
    secrets: { pin: known?.secrets.pin ?? pin, accountName, token },
  };
  await putHomekitBridge(context, organizationId, bridge, clock());
  if (account && isSound) await revokeAccessToken(db, scope, account.id, clock());
  return bridge;
}

/** One that nobody has at this moment; it is kept from then on, since controllers remember it. */
async function freePort(): Promise<number> {
  await using server = createServer();
  const listening = Promise.withResolvers<void>();
  server.once("error", listening.reject).listen(0, () => listening.resolve());
  await listening.promise;
  return (server.address() as { port: number }).port;
}
