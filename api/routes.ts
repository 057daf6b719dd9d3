import * as alertRuleVersions from "./alerts/versions.ts";
import * as scheduleVersions from "./schedules/versions.ts";
import * as alerts from "./alerts/alerts.ts";
import * as alertRules from "./alerts/rules.ts";
import { simulate as simulateAlerts } from "./alerts/simulate.ts";
import { ANALYTICS_ROUTES } from "./analytics/routes.ts";
import { list as audit } from "./audit/audit.ts";
import * as auditCheckpoints from "./audit/checkpoints.ts";
import { exportAudit } from "./audit/export.ts";
import * as auditKeys from "./audit/keys.ts";
import { report as auditReport } from "./audit/report.ts";
import { verify as verifyAudit } from "./audit/verify.ts";
import * as automations from "./automations/automations.ts";
import * as runs from "./automations/runs.ts";
import * as scenes from "./automations/scenes.ts";
import { trial } from "./automations/trial.ts";
import * as automationVersions from "./automations/versions.ts";
import * as accessTokens from "./access-tokens/access-tokens.ts";
import * as oauthClients from "./oauth/clients.ts";
import { BRIDGE_ROUTES } from "./bridges/routes.ts";
import * as contacts from "./contacts/contacts.ts";
import * as demo from "./demo/demo.ts";
import { issueCertificate } from "./devices/certificates.ts";
import { command, history } from "./devices/commands.ts";
import * as credentials from "./devices/credentials.ts";
import * as devices from "./devices/devices.ts";
import { addDevice, registerDevice } from "./devices/enrolment.ts";
import * as irCodes from "./devices/ir-codes.ts";
import * as irExchange from "./devices/ir-exchange.ts";
import * as irUse from "./devices/ir-use.ts";
import { claim, release } from "./devices/ownership.ts";
import * as deviceGateway from "./devices/gateway.ts";
import * as seriesRetention from "./devices/series-retention.ts";
import * as sensors from "./devices/sensors.ts";
import { sensorReport } from "./devices/sensor-report.ts";
import { rotateTaskKey } from "./devices/task-key.ts";
import * as events from "./events/events.ts";
import { metrics as eventMetrics } from "./events/metrics.ts";
import { patterns as eventPatterns } from "./events/patterns.ts";
import { publish as publishEvent } from "./events/publish.ts";
import * as encryption from "./operations/encryption.ts";
import { health } from "./operations/health.ts";
import * as notifications from "./notifications/notifications.ts";
import { live } from "./live/live.ts";
import { topicRights } from "./mqtt/topic-rights.ts";
import { stream as notificationStream } from "./notifications/stream.ts";
import * as grants from "./people/grants.ts";
import * as account from "./people/account.ts";
import * as directory from "./people/directory.ts";
import * as email from "./people/email.ts";
import * as signingKeys from "./operations/signing-keys.ts";
import * as invitations from "./people/invitations.ts";
import { login, me } from "./people/login.ts";
import * as logins from "./people/logins.ts";
import * as members from "./people/members.ts";
import * as organizations from "./people/organizations.ts";
import * as preferences from "./people/preferences.ts";
import * as entities from "./places/entities.ts";
import * as projectMembers from "./places/project-members.ts";
import * as projects from "./places/projects.ts";
import * as relationships from "./places/relationships.ts";
import * as rooms from "./places/rooms.ts";
import { search } from "./places/search.ts";
import * as sites from "./places/sites.ts";
import * as approvalPin from "./people/approval-pin.ts";
import * as password from "./people/password.ts";
import { register, verifyEmail } from "./people/registration.ts";
import { READING_ROUTES } from "./readings/routes.ts";
import { assessRisk } from "./risk/assess.ts";
import * as riskPolicy from "./risk/risk-policy.ts";
import type { Route } from "./route.ts";
import * as virtualSensors from "./sensors/virtual-sensors.ts";
import { preview as previewSchedule } from "./schedules/preview.ts";
import * as taskDecisions from "./tasks/decisions.ts";
import * as tasks from "./tasks/tasks.ts";
import * as scheduleRuns from "./schedules/runs.ts";
import * as schedules from "./schedules/schedules.ts";
import * as flags from "./settings/feature-flags.ts";
import * as organizationSettings from "./settings/organization-settings.ts";
import * as platformSettings from "./settings/platform-settings.ts";
import * as setup from "./setup/setup.ts";
import * as templateExchange from "./templates/exchange.ts";
import { preview as previewTemplate } from "./templates/preview.ts";
import * as templates from "./templates/templates.ts";
import * as templateVersions from "./templates/versions.ts";
import * as deliveries from "./webhooks/deliveries.ts";
import * as inboundHooks from "./webhooks/inbound-hooks.ts";
import { receive } from "./webhooks/receive.ts";
import * as webhooks from "./webhooks/webhooks.ts";

/** Everything the API can do, in the order of its documentation. A fixed path stands before a pattern that would match it. */
export const ROUTES: readonly Route[] = [
  setup.state,
  setup.setup,
  login,
  logins.refresh,
  logins.logout,
  logins.list,
  logins.end,
  me,
  account.update,
  account.remove,
  register,
  verifyEmail,
  email.verification,
  email.changeEmail,
  password.forgot,
  password.reset,
  password.change,
  approvalPin.put,
  approvalPin.remove,
  accessTokens.create,
  accessTokens.list,
  accessTokens.revoke,
  organizations.change,
  organizations.list,
  organizations.create,
  organizations.rename,
  members.list,
  members.setRole,
  members.remove,
  grants.list,
  grants.create,
  grants.revoke,
  invitations.create,
  invitations.list,
  invitations.withdraw,
  invitations.accept,
  invitations.register,
  directory.users,
  directory.show,
  directory.update,
  preferences.show,
  preferences.change,
  notifications.list,
  notificationStream,
  notifications.unreadCount,
  notifications.readAll,
  notifications.read,
  notifications.remove,
  contacts.list,
  contacts.create,
  contacts.show,
  contacts.update,
  contacts.remove,
  registerDevice,
  claim,
  sensorReport,
  deviceGateway.pendingCommands,
  deviceGateway.commandResult,
  deviceGateway.stateReport,
  deviceGateway.taskResult,
  deviceGateway.registration,
  devices.list,
  addDevice,
  devices.show,
  devices.update,
  devices.remove,
  release,
  credentials.credentials,
  credentials.rotate,
  credentials.revoke,
  issueCertificate,
  rotateTaskKey,
  command,
  history,
  seriesRetention.show,
  seriesRetention.put,
  seriesRetention.remove,
  irCodes.list,
  irCodes.create,
  irExchange.importFile,
  irExchange.exportAll,
  irUse.learn,
  irCodes.show,
  irCodes.rename,
  irCodes.remove,
  irUse.send,
  sensors.list,
  sensors.show,
  sensors.put,
  sensors.update,
  sensors.remove,
  virtualSensors.list,
  virtualSensors.create,
  virtualSensors.show,
  virtualSensors.update,
  virtualSensors.remove,
  sites.list,
  sites.create,
  sites.show,
  sites.update,
  sites.remove,
  rooms.list,
  rooms.create,
  rooms.show,
  rooms.update,
  rooms.remove,
  projects.list,
  projects.create,
  projects.show,
  projects.update,
  projects.remove,
  projectMembers.list,
  projectMembers.add,
  projectMembers.remove,
  relationships.list,
  relationships.create,
  relationships.remove,
  entities.list,
  entities.show,
  entities.update,
  search,
  automations.list,
  automations.create,
  automations.show,
  automations.update,
  automations.remove,
  trial,
  runs.start,
  runs.ofAutomation,
  ...automationVersions.routes,
  runs.list,
  runs.show,
  runs.cancel,
  scenes.list,
  scenes.create,
  scenes.capture,
  scenes.show,
  scenes.update,
  scenes.remove,
  scenes.activate,
  tasks.list,
  tasks.create,
  tasks.counts,
  tasks.show,
  tasks.update,
  tasks.remove,
  tasks.executions,
  tasks.logs,
  taskDecisions.submit,
  taskDecisions.cancel,
  taskDecisions.retry,
  taskDecisions.approve,
  taskDecisions.reject,
  schedules.list,
  schedules.create,
  previewSchedule,
  schedules.show,
  schedules.update,
  schedules.remove,
  ...scheduleVersions.routes,
  scheduleRuns.ofSchedule,
  scheduleRuns.start,
  templates.list,
  templates.categories,
  templates.create,
  templateExchange.importOne,
  templates.show,
  templates.replace,
  templates.update,
  templates.remove,
  previewTemplate,
  templateExchange.exportOne,
  templateExchange.copy,
  ...templateVersions.routes,
  ...READING_ROUTES,
  ...ANALYTICS_ROUTES,
  live,
  topicRights,
  alertRules.list,
  alertRules.create,
  alertRules.show,
  alertRules.update,
  alertRules.remove,
  ...alertRuleVersions.routes,
  alerts.list,
  alerts.raise,
  alerts.show,
  alerts.acknowledge,
  alerts.resolve,
  alerts.silence,
  simulateAlerts,
  ...BRIDGE_ROUTES,
  oauthClients.create,
  oauthClients.list,
  oauthClients.rotateSecret,
  oauthClients.remove,
  riskPolicy.show,
  riskPolicy.put,
  assessRisk,
  events.list,
  publishEvent,
  eventMetrics,
  eventPatterns,
  events.show,
  events.chain,
  webhooks.list,
  webhooks.create,
  webhooks.show,
  webhooks.update,
  webhooks.remove,
  webhooks.rotateSecret,
  deliveries.tryOut,
  deliveries.list,
  deliveries.replayOne,
  deliveries.replayAll,
  inboundHooks.list,
  inboundHooks.create,
  inboundHooks.show,
  inboundHooks.update,
  inboundHooks.remove,
  inboundHooks.rotateSecret,
  receive,
  audit,
  auditReport,
  exportAudit,
  verifyAudit,
  auditCheckpoints.list,
  auditCheckpoints.newest,
  auditCheckpoints.sign,
  auditKeys.list,
  auditKeys.rotate,
  organizationSettings.list,
  organizationSettings.show,
  organizationSettings.put,
  organizationSettings.remove,
  platformSettings.list,
  platformSettings.show,
  platformSettings.put,
  platformSettings.remove,
  flags.evaluate,
  flags.list,
  flags.create,
  flags.show,
  flags.update,
  flags.remove,
  demo.start,
  demo.stop,
  demo.status,
  encryption.show,
  encryption.rotate,
  signingKeys.list,
  signingKeys.rotate,
  health,
];
