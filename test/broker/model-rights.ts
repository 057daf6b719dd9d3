import assert from "node:assert/strict";
import type { Player } from "./model-cast.ts";
import { send } from "./model-messages.ts";
import type { Stage } from "./model-stage.ts";

/** Gives a device up: its session ends without a word of its going, and what is retained of it is taken back. */
export async function release(stage: Stage, node: number, device: Player): Promise<boolean> {
  const { name: uid } = device.account;
  const owner = stage.model.owners.get(uid);
  if (owner === undefined) return false;
  stage.note("release", uid, { node });
  // Its coming is stored before its word is: stored after the release it would be told to those who gave it up.
  if (stage.clients.live.has(uid))
    await send(stage, uid, {
      topic: `hexa/${uid}/up/heartbeat`,
      payload: JSON.stringify({ uptime_s: ++stage.count }),
      qos: 1,
      retain: false,
      by: uid,
    });
  await stage.settle();
  const api = stage.api(stage.cast.admin, node);
  const { status, body } = await api.call<{ claim_code: string }>("POST", `/api/v1/devices/${uid}/release`);
  assert.equal(status, 200, JSON.stringify(body));
  device.claimCode = body.claim_code;
  if (stage.clients.live.has(uid)) await stage.clients.supersede(uid, 0x87);
  stage.model.owners.set(uid, undefined);
  stage.model.sessions.delete(uid);
  stage.clients.ledger.forget(uid);
  stage.clients.ledger.blur();
  const left = [...stage.model.retained.keys()].filter((topic) => topic.startsWith(`hexa/${uid}/`));
  for (const topic of left) stage.expect(stage.model.publish({ topic, payload: "", qos: 1, retain: true }));
  stage.expect(stage.event(uid, "released", owner));
  await stage.rightsChanged(uid);
  return true;
}

export async function claim(
  stage: Stage,
  node: number,
  { device, organization }: { device: Player; organization: 0 | 1 },
): Promise<boolean> {
  const { name: uid } = device.account;
  if (stage.model.owners.get(uid) !== undefined) return false;
  stage.note("claim", uid, { node, organization });
  await stage.settle();
  const api = stage.api(stage.cast.players.get(organization === 0 ? "alice" : "mallory") as Player, node);
  const { status, body } = await api.call("POST", "/api/v1/devices/claim", { claim_code: device.claimCode });
  assert.equal(status, 200, JSON.stringify(body));
  stage.model.owners.set(uid, stage.cast.organizations[organization]);
  stage.clients.ledger.blur();
  stage.expect(stage.event(uid, "claimed", stage.cast.organizations[organization]));
  await stage.rightsChanged(uid);
  return true;
}

/** New credentials for a device: the old ones' connection ends, its session stays. */
export async function rotate(stage: Stage, node: number, device: Player): Promise<boolean> {
  const { name: uid } = device.account;
  stage.note("rotate", uid, { node });
  await stage.settle();
  const { status, body } = await stage
    .api(stage.cast.admin, node)
    .call<{ device_token: string }>("POST", `/api/v1/devices/${uid}/rotate-token`);
  assert.equal(status, 201, JSON.stringify(body));
  device.passwords.push(body.device_token);
  stage.expect(stage.event(uid, "credential_rotated", stage.model.owners.get(uid)));
  await endRevoked(stage, [uid]);
  return true;
}

/** Another token for a person, and the end of the one before. */
export async function revoke(stage: Stage, node: number, person: Player): Promise<boolean> {
  const { passwords, tokenId } = person;
  const api = stage.api(person, node);
  const live = [...stage.clients.live].filter(([, { player }]) => player === person).map(([client]) => client);
  // Of several wills nobody can say who hears which.
  if (live.length > 1 && live.some((client) => stage.model.sessions.get(client)?.will)) return false;
  stage.note("revoke", person.account.name, { node });
  await stage.settle();
  const made = await api.call<{ id: string; token: string }>("POST", "/api/v1/access-tokens", {
    kind: "personal",
    name: `t${++stage.count}`,
  });
  assert.equal(made.status, 201, JSON.stringify(made.body));
  const { status } = await api.call("DELETE", `/api/v1/access-tokens/${tokenId}`);
  assert.equal(status, 204);
  passwords.push(made.body.token);
  person.tokenId = made.body.id;
  await endRevoked(stage, live);
  return true;
}

async function endRevoked(stage: Stage, clients: readonly string[]): Promise<void> {
  for (const client of clients) {
    const live = stage.clients.live.get(client);
    if (!live) continue;
    await stage.clients.supersede(client, 0x87);
    stage.clients.live.set(client, live);
    const lasts = stage.model.sessions.get(client)?.lasts === true;
    await stage.gone(client, stage.model.end(client, { saysWill: true, isOver: !lasts }));
  }
  await stage.settle();
}
