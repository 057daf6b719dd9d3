import assert from "node:assert/strict";
import type { Player } from "./model-cast.ts";
import type { Stage } from "./model-stage.ts";

/** Gives a device up: its session ends without a word of its going, and what is retained of it is taken back. */
export async function release(stage: Stage, device: Player): Promise<boolean> {
  const { name: uid } = device.account;
  const owner = stage.model.owners.get(uid);
  if (owner === undefined) return false;
  stage.note("release", uid);
  await stage.clients.settle();
  const { status, body } = await stage.cast.admin.api.call<{ claim_code: string }>("POST", `/api/v1/devices/${uid}/release`);
  assert.equal(status, 200, JSON.stringify(body));
  device.claimCode = body.claim_code;
  if (stage.clients.live.has(uid)) await stage.clients.supersede(uid, 0x87);
  stage.model.owners.set(uid, undefined);
  stage.model.sessions.delete(uid);
  stage.clients.ledger.forget(uid);
  stage.clients.ledger.blur();
  const left = [...stage.model.retained.keys()].filter((topic) => topic.startsWith(`hexa/${uid}/`));
  for (const topic of left) stage.clients.ledger.owe(stage.model.publish({ topic, payload: "", qos: 1, retain: true }));
  stage.clients.ledger.owe(stage.event(uid, "released", owner));
  await stage.clients.settle();
  return true;
}

export async function claim(stage: Stage, device: Player, organization: 0 | 1): Promise<boolean> {
  const { name: uid } = device.account;
  if (stage.model.owners.get(uid) !== undefined) return false;
  stage.note("claim", uid, organization);
  await stage.clients.settle();
  const { api } = stage.cast.players.get(organization === 0 ? "alice" : "mallory") as Player;
  const { status, body } = await api.call("POST", "/api/v1/devices/claim", { claim_code: device.claimCode });
  assert.equal(status, 200, JSON.stringify(body));
  stage.model.owners.set(uid, stage.cast.organizations[organization]);
  stage.clients.ledger.blur();
  await stage.owe(stage.event(uid, "claimed", stage.cast.organizations[organization]));
  return true;
}

/** New credentials for a device: the old ones' connection ends, its session stays. */
export async function rotate(stage: Stage, device: Player): Promise<boolean> {
  const { name: uid } = device.account;
  stage.note("rotate", uid);
  await stage.clients.settle();
  const { status, body } = await stage.cast.admin.api.call<{ device_token: string }>("POST", `/api/v1/devices/${uid}/rotate-token`);
  assert.equal(status, 201, JSON.stringify(body));
  device.passwords.push(body.device_token);
  stage.clients.ledger.owe(stage.event(uid, "credential_rotated", stage.model.owners.get(uid)));
  await endRevoked(stage, [uid]);
  return true;
}

/** Another token for a person, and the end of the one before. */
export async function revoke(stage: Stage, person: Player): Promise<boolean> {
  const { api, passwords, tokenId } = person;
  const live = [...stage.clients.live].filter(([, { player }]) => player === person).map(([client]) => client);
  // Of several wills nobody can say who hears which.
  if (live.length > 1 && live.some((client) => stage.model.sessions.get(client)?.will)) return false;
  stage.note("revoke", person.account.name);
  await stage.clients.settle();
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
}
