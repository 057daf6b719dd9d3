import { list as audit } from "./audit/audit.ts";
import { exportAudit } from "./audit/export.ts";
import { report as auditReport } from "./audit/report.ts";
import { verify as verifyAudit } from "./audit/verify.ts";
import * as accessTokens from "./access-tokens/access-tokens.ts";
import * as contacts from "./contacts/contacts.ts";
import * as demo from "./demo/demo.ts";
import { issueCertificate } from "./devices/certificates.ts";
import { command, history } from "./devices/commands.ts";
import * as credentials from "./devices/credentials.ts";
import * as devices from "./devices/devices.ts";
import { addDevice, registerDevice } from "./devices/enrolment.ts";
import { claim, release } from "./devices/ownership.ts";
import { sensorReport } from "./devices/sensor-report.ts";
import { events } from "./events/events.ts";
import * as encryption from "./operations/encryption.ts";
import { health } from "./operations/health.ts";
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
import * as password from "./people/password.ts";
import { register, verifyEmail } from "./people/registration.ts";
import { readings } from "./readings/readings.ts";
import type { Route } from "./route.ts";
import * as flags from "./settings/feature-flags.ts";
import * as organizationSettings from "./settings/organization-settings.ts";
import * as platformSettings from "./settings/platform-settings.ts";
import { setup } from "./setup/setup.ts";

/** Everything the API can do, in the order of its documentation. A fixed path stands before a pattern that would match it. */
export const ROUTES: readonly Route[] = [
  setup,
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
  directory.update,
  preferences.show,
  preferences.change,
  contacts.list,
  contacts.create,
  contacts.show,
  contacts.update,
  contacts.remove,
  registerDevice,
  claim,
  sensorReport,
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
  command,
  history,
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
  readings,
  events,
  audit,
  auditReport,
  exportAudit,
  verifyAudit,
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
