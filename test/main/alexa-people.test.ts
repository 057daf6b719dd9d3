import assert from "node:assert/strict";
import { test } from "node:test";
import { createAccessToken } from "../../store/access-tokens.ts";
import { openStore } from "../../store/open.ts";
import { homeOrganization } from "../../store/organizations.ts";
import { loadMasterKey, loadSigningKeys } from "../../store/secrets.ts";
import { createUser } from "../../store/users.ts";
import { direct, directive, errorIn, grantOf } from "../support/alexa-directives.ts";
import { startAlexaGateway } from "../support/alexa-gateway.ts";
import { startHub } from "../support/hub.ts";
import { temporaryFolder, until } from "../support/wait.ts";
import { startAlexaScene } from "./alexa-scene.ts";

/** A hub's folder with an operator of its first organisation, who has tokens. */
async function addOperator(dataDir: string) {
  {
    await using _first = await startHub({ dataDir });
  }
  await using store = await openStore({ dataDir });
  const { db } = store;
  const keys = await loadSigningKeys(db, await loadMasterKey(dataDir));
  const { id: organizationId } = await homeOrganization(db);
  const user = { email: "operator@example.test", passwordHash: "none", role: "user", memberRole: "operator", organizationId } as const;
  const { id } = await createUser(db, user);
  const token = { kind: "personal", userId: id, organizationId, name: "Alexa" } as const;
  return {
    id,
    organizationId,
    token: (await createAccessToken(db, keys, token)).token,
    old: (await createAccessToken(db, keys, { ...token, expiresAt: "2020-01-01T00:00:00.000Z" })).token,
  };
}

test("each who has linked Alexa is told what they may see, for as long as they may", async () => {
  await using folder = temporaryFolder();
  const operator = await addOperator(folder.path);
  await using gateway = await startAlexaGateway();
  await using scene = await startAlexaScene({ dataDir: folder.path, env: gateway.env });
  const { hub, uid } = scene;
  const { api } = hub;
  const grant = await direct(api, grantOf(gateway.newCode(), operator.token));
  assert.equal(grant.event.header.name, "AcceptGrant.Response");
  await until(() => gateway.endpoints.size === 8, { what: "the operator's endpoints" });
  const roleOf = async (role: string | null): Promise<void> => {
    const { status } = await api.call("PATCH", `/api/v1/organizations/${operator.organizationId}/members/${operator.id}`, { role });
    assert.equal(status, 200);
  };
  await roleOf("viewer");
  await until(() => gateway.endpoints.size === 4 && [...gateway.endpoints.keys()].every((id) => id.includes(":sensor:")), {
    what: "all but the sensors to go",
  });
  const turnOn = { token: operator.token, endpointId: `${uid}:relay:0` };
  assert.equal(errorIn(await direct(api, directive("Alexa.PowerController.TurnOn", turnOn))), "INSUFFICIENT_PERMISSIONS");
  await roleOf(null);
  await until(() => gateway.endpoints.size === 0, { what: "everything to go" });
  await roleOf("operator");
  await until(() => gateway.endpoints.size === 8, { what: "everything to come back" });

  const expired = directive("Alexa.PowerController.TurnOn", { ...turnOn, token: operator.old });
  assert.equal(errorIn(await direct(api, expired)), "EXPIRED_AUTHORIZATION_CREDENTIAL");
  assert.deepEqual(gateway.complaints, []);
});
