import { createRootRoute, createRoute, createRouter, type RouteComponent, redirect } from "@tanstack/react-router";
import { lazyPage } from "./hub/build.ts";
import { ApiError } from "./hub/client.ts";
import { queries } from "./hub/queries.ts";
import { isOurs, me, setupState } from "./hub/session.ts";
import { startPage } from "./hub/start-page.ts";
import { FailedPage, MissingPage } from "./parts/failed.tsx";
import { texts } from "./parts/url-filters.ts";
import { Waiting } from "./parts/waiting.tsx";
import { Shell } from "./shell/shell.tsx";

const root = createRootRoute({ notFoundComponent: MissingPage });

const start = createRoute({
  getParentRoute: () => root,
  path: "/",
  beforeLoad: async () => {
    const { needed } = await queries.ensureQueryData({ ...setupState, retry: false });
    if (needed) redirect({ to: "/setup", throw: true });
    await requirePerson("/");
    redirect({ href: await startPage(), throw: true });
  },
});

const setup = createRoute({
  getParentRoute: () => root,
  path: "/setup",
  component: lazyPage(() => import("./pages/setup/setup-page.tsx"), "SetupPage"),
});

const login = createRoute({
  getParentRoute: () => root,
  path: "/auth/login",
  validateSearch: ({ next }: Record<string, unknown>): { next?: string } => (isOurs(next) ? { next } : {}),
  component: lazyPage(() => import("./pages/auth/login-page.tsx"), "LoginPage"),
});

const register = createRoute({
  getParentRoute: () => root,
  path: "/auth/register",
  component: lazyPage(() => import("./pages/auth/register-page.tsx"), "RegisterPage"),
});
const forgot = createRoute({
  getParentRoute: () => root,
  path: "/auth/forgot",
  component: lazyPage(() => import("./pages/auth/forgot-page.tsx"), "ForgotPage"),
});
const reset = createRoute({
  getParentRoute: () => root,
  path: "/auth/reset-password",
  component: lazyPage(() => import("./pages/auth/reset-page.tsx"), "ResetPage"),
});
const verify = createRoute({
  getParentRoute: () => root,
  path: "/auth/verify-email",
  component: lazyPage(() => import("./pages/auth/verify-page.tsx"), "VerifyPage"),
});
const invitation = createRoute({
  getParentRoute: () => root,
  path: "/auth/invitation",
  component: lazyPage(() => import("./pages/auth/invitation-page.tsx"), "InvitationPage"),
});

/** So long a page waits for who it is for, before it says that it waits. */
const PATIENCE_MS = 3_000;
const patience = (): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, PATIENCE_MS);
  });

/** Everything that takes a person. */
const shell = createRoute({
  getParentRoute: () => root,
  id: "shell",
  component: Shell,
  beforeLoad: ({ location }) => requirePerson(location.href),
});

/** Whoever is nobody logs in first, and comes back to `next`. */
async function requirePerson(next: string): Promise<void> {
  try {
    await Promise.race([queries.ensureQueryData({ ...me, retry: false }), patience()]);
  } catch (error) {
    // Of a hub that is away, and of what is shown of it, the page itself tells.
    if (!(error instanceof ApiError) || error.status !== 401) return;
    const { needed } = await queries.ensureQueryData(setupState);
    if (needed) redirect({ to: "/setup", throw: true });
    redirect({ to: "/auth/login", search: { next }, throw: true });
  }
}

/** A page for somebody; what it shows of what there is stands in its URL. */
const page = <const Path extends string>(path: Path, component: RouteComponent) =>
  createRoute({ getParentRoute: () => shell, path, validateSearch: texts, component });

const dashboard = page(
  "/dashboard",
  lazyPage(() => import("./pages/dashboard/dashboard-page.tsx"), "DashboardPage"),
);
const devices = page(
  "/devices",
  lazyPage(() => import("./pages/devices/devices-page.tsx"), "DevicesPage"),
);
const addDevice = page(
  "/devices/new",
  lazyPage(() => import("./pages/add-device/add-device-page.tsx"), "AddDevicePage"),
);
const device = page(
  "/devices/$id",
  lazyPage(() => import("./pages/device/device-page.tsx"), "DevicePage"),
);
const about = page(
  "/about",
  lazyPage(() => import("./pages/about/about-page.tsx"), "AboutPage"),
);

const people = page(
  "/people",
  lazyPage(() => import("./pages/people/people-page.tsx"), "PeoplePage"),
);
const account = page(
  "/account",
  lazyPage(() => import("./pages/account/account-page.tsx"), "AccountPage"),
);
const settings = page(
  "/settings",
  lazyPage(() => import("./pages/settings/settings-page.tsx"), "SettingsPage"),
);

const automations = page(
  "/automations",
  lazyPage(() => import("./pages/automations/automations-page.tsx"), "AutomationsPage"),
);
const newAutomation = page(
  "/automations/new",
  lazyPage(() => import("./pages/automations/new-automation-page.tsx"), "NewAutomationPage"),
);
const automation = page(
  "/automations/$id",
  lazyPage(() => import("./pages/automations/automation-page.tsx"), "AutomationPage"),
);
const schedules = page(
  "/schedules",
  lazyPage(() => import("./pages/schedules/schedules-page.tsx"), "SchedulesPage"),
);
const newSchedule = page(
  "/schedules/new",
  lazyPage(() => import("./pages/schedules/new-schedule-page.tsx"), "NewSchedulePage"),
);
const schedule = page(
  "/schedules/$id",
  lazyPage(() => import("./pages/schedules/schedule-page.tsx"), "SchedulePage"),
);
const scenes = page(
  "/scenes",
  lazyPage(() => import("./pages/scenes/scenes-page.tsx"), "ScenesPage"),
);
const newScene = page(
  "/scenes/new",
  lazyPage(() => import("./pages/scenes/new-scene-page.tsx"), "NewScenePage"),
);
const scene = page(
  "/scenes/$id",
  lazyPage(() => import("./pages/scenes/scene-page.tsx"), "ScenePage"),
);
const alerts = page(
  "/alerts",
  lazyPage(() => import("./pages/alerts/alerts-page.tsx"), "AlertsPage"),
);
const alert = page(
  "/alerts/$id",
  lazyPage(() => import("./pages/alerts/alert-page.tsx"), "AlertPage"),
);
const alertRules = page(
  "/alerts/rules",
  lazyPage(() => import("./pages/alerts/rules-page.tsx"), "AlertRulesPage"),
);
const newAlertRule = page(
  "/alerts/rules/new",
  lazyPage(() => import("./pages/alerts/rule-page.tsx"), "NewAlertRulePage"),
);
const alertRule = page(
  "/alerts/rules/$id",
  lazyPage(() => import("./pages/alerts/rule-page.tsx"), "AlertRulePage"),
);
const tasks = page(
  "/tasks",
  lazyPage(() => import("./pages/tasks/tasks-page.tsx"), "TasksPage"),
);
const inbox = page(
  "/tasks/inbox",
  lazyPage(() => import("./pages/tasks/inbox-page.tsx"), "InboxPage"),
);
const newTask = page(
  "/tasks/new",
  lazyPage(() => import("./pages/tasks/new-task-page.tsx"), "NewTaskPage"),
);
const task = page(
  "/tasks/$id",
  lazyPage(() => import("./pages/tasks/task-page.tsx"), "TaskPage"),
);
const audit = page(
  "/audit",
  lazyPage(() => import("./pages/audit/audit-page.tsx"), "AuditPage"),
);
const templates = page(
  "/templates",
  lazyPage(() => import("./pages/templates/templates-page.tsx"), "TemplatesPage"),
);
const newTemplate = page(
  "/templates/new",
  lazyPage(() => import("./pages/templates/new-template-page.tsx"), "NewTemplatePage"),
);
const template = page(
  "/templates/$id",
  lazyPage(() => import("./pages/templates/template-page.tsx"), "TemplatePage"),
);
const homeAssistant = page(
  "/home-assistant",
  lazyPage(() => import("./pages/smart-homes/home-assistant-page.tsx"), "HomeAssistantPage"),
);
const homekit = page(
  "/homekit",
  lazyPage(() => import("./pages/smart-homes/homekit-page.tsx"), "HomekitPage"),
);
const alexa = page(
  "/alexa",
  lazyPage(() => import("./pages/smart-homes/alexa-page.tsx"), "AlexaPage"),
);
const mqtt = page(
  "/mqtt",
  lazyPage(() => import("./pages/mqtt/mqtt-page.tsx"), "MqttPage"),
);
const webhooks = page(
  "/webhooks",
  lazyPage(() => import("./pages/webhooks/webhooks-page.tsx"), "WebhooksPage"),
);
const webhook = page(
  "/webhooks/$id",
  lazyPage(() => import("./pages/webhooks/webhook-page.tsx"), "WebhookPage"),
);
const readings = page(
  "/readings",
  lazyPage(() => import("./pages/readings/readings-page.tsx"), "ReadingsPage"),
);
const events = page(
  "/events",
  lazyPage(() => import("./pages/events/events-page.tsx"), "EventsPage"),
);
const event = page(
  "/events/$id",
  lazyPage(() => import("./pages/events/event-page.tsx"), "EventPage"),
);

export const router = createRouter({
  routeTree: root.addChildren([
    start,
    setup,
    login,
    register,
    forgot,
    reset,
    verify,
    invitation,
    shell.addChildren([
      dashboard,
      devices,
      addDevice,
      device,
      about,
      people,
      account,
      settings,
      automations,
      newAutomation,
      automation,
      schedules,
      newSchedule,
      schedule,
      scenes,
      newScene,
      scene,
      alerts,
      alert,
      alertRules,
      newAlertRule,
      alertRule,
      tasks,
      inbox,
      newTask,
      task,
      audit,
      templates,
      newTemplate,
      template,
      homeAssistant,
      homekit,
      alexa,
      mqtt,
      webhooks,
      webhook,
      readings,
      events,
      event,
    ]),
  ]),
  defaultPreload: "intent",
  defaultPendingComponent: Waiting,
  defaultErrorComponent: FailedPage,
  scrollRestoration: true,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
