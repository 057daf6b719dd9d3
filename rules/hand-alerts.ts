import type { Alert, RaisedAlert } from "../core/alert.ts";
import type { AlertRequest } from "../core/bus.ts";
import { HubError } from "../core/errors.ts";
import { newId } from "../core/id.ts";
import type { Actor } from "../core/principal.ts";
import { findPlacedDevice } from "../store/alert-facts.ts";
import { countRaisedByHand, findOpenAlert, insertAlert, lockAlert } from "../store/alerts.ts";
import type { Db } from "../store/open.ts";
import { lockOrganization } from "../store/organizations.ts";
import { isoOf } from "../store/sql.ts";
import { afterCommit } from "../store/transaction.ts";
import { announce, change, note, type TurnsContext } from "./alert-record.ts";

/** One that no rule makes. Throws `quota_exceeded`. */
export async function raiseByHand(
  context: TurnsContext,
  trx: Db,
  wanted: RaisedAlert,
  { actor, most }: { readonly actor: Actor; readonly most: number },
): Promise<{ id: string; isNew: boolean }> {
  const { organizationId, title, description, severity, device, values, key } = wanted;
  await lockOrganization(trx, organizationId);
  const id = newId();
  const subject = key ?? id;
  const open = await findOpenAlert(trx, { ruleId: null, organizationId, subject });
  if (open) return { id: open.id, isNew: false };
  if ((await countRaisedByHand(trx, organizationId)) >= most)
    throw new HubError("quota_exceeded", `at most ${most} alerts that somebody has raised are open at a time`);
  const now = Math.floor(context.timers.now());
  const place = device && (await findPlacedDevice(trx, device.uid, organizationId));
  const at = isoOf(now);
  const alert: Alert = {
    id,
    organizationId,
    ruleId: null,
    ruleVersion: null,
    subject,
    deviceId: device?.id ?? null,
    uid: device?.uid ?? null,
    siteId: place?.siteId ?? null,
    severity,
    status: "firing",
    title,
    description,
    values,
    parentId: null,
    silencedUntil: null,
    startedAt: at,
    raisedAt: at,
    toldAt: at,
    acknowledgedAt: null,
    resolvedAt: null,
    resolution: null,
    correlationId: id,
  };
  await insertAlert(trx, alert);
  await note(trx, alert, { actor, now }, "raised", { values });
  await announce(context, trx, { actor, now }, { alert, type: "alert.raised" });
  await context.notifier.notify(trx, {
    organizationId,
    to: "everybody",
    severity,
    title,
    body: description ?? "",
    data: { alert_id: id, uid: alert.uid, status: alert.status },
    source: { kind: "alert", id },
    correlationId: id,
  });
  afterCommit(trx, () => context.metrics.count("hexahub_alerts_raised_total", { severity }));
  return { id, isNew: true };
}

/** Of one that no rule watches. Throws `conflict`. */
export async function handleByHand(context: TurnsContext, trx: Db, seen: Alert, request: AlertRequest, actor: Actor): Promise<void> {
  const alert = await lockAlert(trx, { kind: "organization", organizationId: seen.organizationId }, seen.id);
  const now = Math.floor(context.timers.now());
  const isPossible = request.kind === "acknowledge" ? alert.status === "firing" : alert.status !== "resolved";
  if (!isPossible) throw new HubError("conflict", `the alert is ${alert.status}`);
  const doing = { actor, now };
  switch (request.kind) {
    case "acknowledge":
      await change(context, trx, doing, alert, {
        patch: { status: "acknowledged", acknowledgedAt: isoOf(now) },
        what: "acknowledged",
        event: "alert.acknowledged",
      });
      return;
    case "resolve":
      await change(context, trx, doing, alert, {
        patch: { status: "resolved", resolvedAt: isoOf(now), resolution: "hand" },
        what: "resolved",
        event: "alert.resolved",
        details: { resolution: "hand" },
      });
      return;
    case "silence":
      await change(context, trx, doing, alert, {
        patch: { silencedUntil: isoOf(request.until) },
        what: "silenced",
        details: { until: isoOf(request.until) },
      });
  }
}
