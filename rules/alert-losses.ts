import type { Alert } from "../core/alert.ts";
import { isStillLost, lossesOf, lossFor, type Loss } from "../core/alert-groups.ts";
import { gatherMsOf } from "../core/alert-rule.ts";
import { lossTitle } from "../core/alert-words.ts";
import { nameOf, type PlacedDevice, findPlacedDevice, readFleet } from "../store/alert-facts.ts";
import { getAlert, openAlertsOf, updateAlert } from "../store/alerts.ts";
import type { Db } from "../store/open.ts";
import { isoOf } from "../store/sql.ts";
import { quietUntil } from "./alert-index.ts";
import { change, type Doing, note, notify, tell, type TurnsContext } from "./alert-record.ts";

/** A subject that stands for many devices: a device's uid has no blank. */
export const isLoss = (subject: string): boolean => subject.includes(" ");

/**
 * The device's alert is to be told. When it went with others, they are told as one, and true is given. All of this is within the lock
 * of the rule's losses.
 */
export async function gather(context: TurnsContext, trx: Db, doing: Doing, alert: Alert): Promise<boolean> {
  const { rule } = doing;
  if (gatherMsOf(rule.definition.condition) === 0) return false;
  const alone = (await openAlertsOf(trx, { rule_id: rule.rule.id })).filter((one) => one.parentId === null && !isLoss(one.subject));
  const untold = alone.filter(({ toldAt }) => toldAt === null);
  const { fleet, gatewaysOf } = await readFleet(
    trx,
    rule.rule.organizationId,
    untold.flatMap(({ deviceId }) => deviceId ?? []),
  );
  // What is behind a gateway may take longer to fall silent than the gateway's own loss waits.
  const gateways = new Set([...gatewaysOf.values()].flat());
  const together = alone.filter(({ toldAt, subject }) => toldAt === null || gateways.has(subject));
  const { losses } = lossesOf(
    together.map(({ subject, siteId, startedAt, deviceId }) => ({
      device: subject,
      siteId,
      at: Date.parse(startedAt),
      gateways: gatewaysOf.get(deviceId ?? "") ?? [],
    })),
    fleet,
  );
  let isPart = false;
  for (const loss of losses) {
    const isRaised = await raiseLoss(context, trx, doing, { loss, alerts: together });
    isPart ||= isRaised && loss.devices.includes(alert.subject);
  }
  return isPart;
}

/** False for one that somebody has ended by hand, and that was not over since. */
async function raiseLoss(
  context: TurnsContext,
  trx: Db,
  { rule, now, actor }: Doing,
  { loss, alerts }: { loss: Loss; alerts: readonly Alert[] },
): Promise<boolean> {
  const { subject, devices, total } = loss;
  const children = alerts.filter((one) => devices.includes(one.subject));
  const [kind, id] = subject.split(" ");
  const name = await lossName(trx, rule.rule.organizationId, subject);
  const values = {
    title: lossTitle(name, children.length, total),
    name,
    lost: children.length,
    most: children.length,
    total,
    ...(kind === "site" ? { site_id: id } : {}),
  };
  const gateway = kind === "gateway" ? children.find((one) => one.subject === id) : undefined;
  const device = gateway?.deviceId ? { id: gateway.deviceId, uid: gateway.subject } : null;
  await context.apply(trx, { rule, subject, signal: { kind: "bad" }, cause: { device, values, event: null } });
  const parent = (await openAlertsOf(trx, { rule_id: rule.rule.id })).find((one) => one.subject === subject);
  if (!parent) return false;
  for (const child of children) {
    await updateAlert(trx, child, { parentId: parent.id });
    await note(trx, child, { actor, now }, "gathered", { parent_id: parent.id });
  }
  return true;
}

async function lossName(trx: Db, organizationId: string, subject: string): Promise<string> {
  const [kind, id = ""] = subject.split(" ");
  if (kind === "site") return `Site ${(await nameOf(trx, id)) ?? id}`;
  if (kind === "gateway") return `Gateway ${(await findPlacedDevice(trx, id, organizationId))?.name ?? id}`;
  return (await nameOf(trx, organizationId)) ?? "Everything";
}

/** A device that goes while its site is lost already is a part of that. */
export async function joinLoss(
  context: TurnsContext,
  trx: Db,
  doing: Doing,
  { alert, place }: { alert: Alert; place: PlacedDevice },
): Promise<Alert> {
  const { rule } = doing;
  if (gatherMsOf(rule.definition.condition) === 0) return alert;
  const open = (await openAlertsOf(trx, { rule_id: rule.rule.id })).filter((one) => isLoss(one.subject));
  if (open.length === 0) return alert;
  const { gatewaysOf } = await readFleet(trx, rule.rule.organizationId, [place.id]);
  const subject = lossFor({ siteId: place.siteId, gateways: gatewaysOf.get(place.id) ?? [] }, new Set(open.map((one) => one.subject)));
  const parent = open.find((one) => one.subject === subject);
  if (!parent) return alert;
  const joined = await updateAlert(trx, alert, { parentId: parent.id });
  await recount(context, trx, doing, parent);
  return joined;
}

/** One of a loss came back. */
export async function afterChild(context: TurnsContext, trx: Db, doing: Doing, parentId: string): Promise<void> {
  const parent = await getAlert(trx, { kind: "organization", organizationId: doing.rule.rule.organizationId }, parentId);
  if (parent.status !== "resolved") await recount(context, trx, doing, parent);
}

async function recount(context: TurnsContext, trx: Db, doing: Doing, parent: Alert): Promise<void> {
  const away = (await openAlertsOf(trx, { parent_id: parent.id })).map(({ subject }) => subject);
  const total = Number(parent.values["total"] ?? 0);
  // As it was called: by now it may be gone.
  const name =
    typeof parent.values["name"] === "string" ? parent.values["name"] : await lossName(trx, parent.organizationId, parent.subject);
  const most = Math.max(Number(parent.values["most"] ?? 0), away.length);
  const title = lossTitle(name, most, total);
  await updateAlert(trx, parent, { title, values: { ...parent.values, title, lost: away.length, most } });
  const isLost = away.length > 0 && isStillLost(parent.subject, away, total);
  await context.apply(trx, {
    rule: doing.rule,
    subject: parent.subject,
    signal: { kind: isLost ? "bad" : "fine" },
    // While some are still away, more may come back; when all are there, it is over.
    resolveAfterMs: away.length === 0 ? 0 : gatherMsOf(doing.rule.definition.condition),
  });
}

/**
 * It is over, and what has not come back stands for itself: one is told like any other, several are told at once; within a silence each
 * waits for its end.
 */
export async function endLoss(
  context: TurnsContext,
  trx: Db,
  doing: Doing,
  { parent, isTold }: { parent: Alert; isTold: boolean },
): Promise<void> {
  const isQuiet = isTold && quietUntil(doing.rule, doing.now) !== undefined;
  const left: Alert[] = [];
  for (const child of await openAlertsOf(trx, { parent_id: parent.id }))
    left.push(
      await change(context, trx, doing, child, {
        patch: { parentId: null, ...(isQuiet ? {} : { toldAt: isoOf(doing.now) }) },
        what: "released",
        details: { parent_id: parent.id },
      }),
    );
  const [only] = left;
  if (!only || !isTold) return;
  if (isQuiet) {
    for (const { subject } of left) await context.apply(trx, { rule: doing.rule, subject, signal: { kind: "alone" } });
    return;
  }
  if (left.length === 1) return await tell(context, trx, doing, only);
  await notify(context, trx, doing, {
    alert: parent,
    title: `${left.length} devices are still away: ${parent.title}`,
    body: left.map(({ title }) => title).join("\n"),
  });
}
