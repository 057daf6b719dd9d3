import { createRootRoute, createRoute, createRouter, redirect } from "@tanstack/react-router";
import { lazyPage as lazyRouteComponent } from "./hub/build.ts";
import { ApiError } from "./hub/client.ts";
import { queries } from "./hub/queries.ts";
import { isOurs, me, setupState } from "./hub/session.ts";
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
    redirect({ to: needed ? "/setup" : "/dashboard", throw: true });
  },
});

const setup = createRoute({
  getParentRoute: () => root,
  path: "/setup",
  component: lazyRouteComponent(() => import("./pages/setup/setup-page.tsx"), "SetupPage"),
});

const login = createRoute({
  getParentRoute: () => root,
  path: "/auth/login",
  validateSearch: ({ next }: Record<string, unknown>): { next?: string } => (isOurs(next) ? { next } : {}),
  component: lazyRouteComponent(() => import("./pages/auth/login-page.tsx"), "LoginPage"),
});

const register = createRoute({
  getParentRoute: () => root,
  path: "/auth/register",
  component: lazyRouteComponent(() => import("./pages/auth/register-page.tsx"), "RegisterPage"),
});
const forgot = createRoute({
  getParentRoute: () => root,
  path: "/auth/forgot",
  component: lazyRouteComponent(() => import("./pages/auth/forgot-page.tsx"), "ForgotPage"),
});
const reset = createRoute({
  getParentRoute: () => root,
  path: "/auth/reset-password",
  component: lazyRouteComponent(() => import("./pages/auth/reset-page.tsx"), "ResetPage"),
});
const verify = createRoute({
  getParentRoute: () => root,
  path: "/auth/verify-email",
  component: lazyRouteComponent(() => import("./pages/auth/verify-page.tsx"), "VerifyPage"),
});
const invitation = createRoute({
  getParentRoute: () => root,
  path: "/auth/invitation",
  component: lazyRouteComponent(() => import("./pages/auth/invitation-page.tsx"), "InvitationPage"),
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
  beforeLoad: async ({ location }) => {
    try {
      await Promise.race([queries.ensureQueryData({ ...me, retry: false }), patience()]);
    } catch (error) {
      // Of a hub that is away, and of what is shown of it, the page itself tells.
      if (!(error instanceof ApiError) || error.status !== 401) return;
      const { needed } = await queries.ensureQueryData(setupState);
      if (needed) redirect({ to: "/setup", throw: true });
      redirect({ to: "/auth/login", search: { next: location.href }, throw: true });
    }
  },
});

const dashboard = createRoute({
  getParentRoute: () => shell,
  path: "/dashboard",
  component: lazyRouteComponent(() => import("./pages/dashboard/dashboard-page.tsx"), "DashboardPage"),
});
const devices = createRoute({
  getParentRoute: () => shell,
  path: "/devices",
  validateSearch: texts,
  component: lazyRouteComponent(() => import("./pages/devices/devices-page.tsx"), "DevicesPage"),
});
const addDevice = createRoute({
  getParentRoute: () => shell,
  path: "/devices/new",
  component: lazyRouteComponent(() => import("./pages/add-device/add-device-page.tsx"), "AddDevicePage"),
});
const device = createRoute({
  getParentRoute: () => shell,
  path: "/devices/$id",
  validateSearch: texts,
  component: lazyRouteComponent(() => import("./pages/device/device-page.tsx"), "DevicePage"),
});
const about = createRoute({
  getParentRoute: () => shell,
  path: "/about",
  component: lazyRouteComponent(() => import("./pages/about/about-page.tsx"), "AboutPage"),
});

const people = createRoute({
  getParentRoute: () => shell,
  path: "/people",
  validateSearch: texts,
  component: lazyRouteComponent(() => import("./pages/people/people-page.tsx"), "PeoplePage"),
});
const account = createRoute({
  getParentRoute: () => shell,
  path: "/account",
  component: lazyRouteComponent(() => import("./pages/account/account-page.tsx"), "AccountPage"),
});
const settings = createRoute({
  getParentRoute: () => shell,
  path: "/settings",
  validateSearch: texts,
  component: lazyRouteComponent(() => import("./pages/settings/settings-page.tsx"), "SettingsPage"),
});

const automations = createRoute({
  getParentRoute: () => shell,
  path: "/automations",
  validateSearch: texts,
  component: lazyRouteComponent(() => import("./pages/automations/automations-page.tsx"), "AutomationsPage"),
});
const newAutomation = createRoute({
  getParentRoute: () => shell,
  path: "/automations/new",
  component: lazyRouteComponent(() => import("./pages/automations/new-automation-page.tsx"), "NewAutomationPage"),
});
const automation = createRoute({
  getParentRoute: () => shell,
  path: "/automations/$id",
  validateSearch: texts,
  component: lazyRouteComponent(() => import("./pages/automations/automation-page.tsx"), "AutomationPage"),
});
const schedules = createRoute({
  getParentRoute: () => shell,
  path: "/schedules",
  validateSearch: texts,
  component: lazyRouteComponent(() => import("./pages/schedules/schedules-page.tsx"), "SchedulesPage"),
});
const newSchedule = createRoute({
  getParentRoute: () => shell,
  path: "/schedules/new",
  component: lazyRouteComponent(() => import("./pages/schedules/new-schedule-page.tsx"), "NewSchedulePage"),
});
const schedule = createRoute({
  getParentRoute: () => shell,
  path: "/schedules/$id",
  validateSearch: texts,
  component: lazyRouteComponent(() => import("./pages/schedules/schedule-page.tsx"), "SchedulePage"),
});
const scenes = createRoute({
  getParentRoute: () => shell,
  path: "/scenes",
  validateSearch: texts,
  component: lazyRouteComponent(() => import("./pages/scenes/scenes-page.tsx"), "ScenesPage"),
});
const newScene = createRoute({
  getParentRoute: () => shell,
  path: "/scenes/new",
  component: lazyRouteComponent(() => import("./pages/scenes/new-scene-page.tsx"), "NewScenePage"),
});
const scene = createRoute({
  getParentRoute: () => shell,
  path: "/scenes/$id",
  component: lazyRouteComponent(() => import("./pages/scenes/scene-page.tsx"), "ScenePage"),
});
const alerts = createRoute({
  getParentRoute: () => shell,
  path: "/alerts",
  validateSearch: texts,
  component: lazyRouteComponent(() => import("./pages/alerts/alerts-page.tsx"), "AlertsPage"),
});
const alert = createRoute({
  getParentRoute: () => shell,
  path: "/alerts/$id",
  component: lazyRouteComponent(() => import("./pages/alerts/alert-page.tsx"), "AlertPage"),
});
const alertRules = createRoute({
  getParentRoute: () => shell,
  path: "/alerts/rules",
  validateSearch: texts,
  component: lazyRouteComponent(() => import("./pages/alerts/rules-page.tsx"), "AlertRulesPage"),
});
const newAlertRule = createRoute({
  getParentRoute: () => shell,
  path: "/alerts/rules/new",
  component: lazyRouteComponent(() => import("./pages/alerts/rule-page.tsx"), "NewAlertRulePage"),
});
const alertRule = createRoute({
  getParentRoute: () => shell,
  path: "/alerts/rules/$id",
  validateSearch: texts,
  component: lazyRouteComponent(() => import("./pages/alerts/rule-page.tsx"), "AlertRulePage"),
});
const tasks = createRoute({
  getParentRoute: () => shell,
  path: "/tasks",
  validateSearch: texts,
  component: lazyRouteComponent(() => import("./pages/tasks/tasks-page.tsx"), "TasksPage"),
});
const inbox = createRoute({
  getParentRoute: () => shell,
  path: "/tasks/inbox",
  component: lazyRouteComponent(() => import("./pages/tasks/inbox-page.tsx"), "InboxPage"),
});
const newTask = createRoute({
  getParentRoute: () => shell,
  path: "/tasks/new",
  validateSearch: texts,
  component: lazyRouteComponent(() => import("./pages/tasks/new-task-page.tsx"), "NewTaskPage"),
});
const task = createRoute({
  getParentRoute: () => shell,
  path: "/tasks/$id",
  component: lazyRouteComponent(() => import("./pages/tasks/task-page.tsx"), "TaskPage"),
});
const audit = createRoute({
  getParentRoute: () => shell,
  path: "/audit",
  validateSearch: texts,
  component: lazyRouteComponent(() => import("./pages/audit/audit-page.tsx"), "AuditPage"),
});
const templates = createRoute({
  getParentRoute: () => shell,
  path: "/templates",
  validateSearch: texts,
  component: lazyRouteComponent(() => import("./pages/templates/templates-page.tsx"), "TemplatesPage"),
});
const newTemplate = createRoute({
  getParentRoute: () => shell,
  path: "/templates/new",
  component: lazyRouteComponent(() => import("./pages/templates/new-template-page.tsx"), "NewTemplatePage"),
});
const template = createRoute({
  getParentRoute: () => shell,
  path: "/templates/$id",
  validateSearch: texts,
  component: lazyRouteComponent(() => import("./pages/templates/template-page.tsx"), "TemplatePage"),
});
const homeAssistant = createRoute({
  getParentRoute: () => shell,
  path: "/home-assistant",
  component: lazyRouteComponent(() => import("./pages/smart-homes/home-assistant-page.tsx"), "HomeAssistantPage"),
});
const homekit = createRoute({
  getParentRoute: () => shell,
  path: "/homekit",
  component: lazyRouteComponent(() => import("./pages/smart-homes/homekit-page.tsx"), "HomekitPage"),
});
const alexa = createRoute({
  getParentRoute: () => shell,
  path: "/alexa",
  component: lazyRouteComponent(() => import("./pages/smart-homes/alexa-page.tsx"), "AlexaPage"),
});
const mqtt = createRoute({
  getParentRoute: () => shell,
  path: "/mqtt",
  validateSearch: texts,
  component: lazyRouteComponent(() => import("./pages/mqtt/mqtt-page.tsx"), "MqttPage"),
});
const webhooks = createRoute({
  getParentRoute: () => shell,
  path: "/webhooks",
  validateSearch: texts,
  component: lazyRouteComponent(() => import("./pages/webhooks/webhooks-page.tsx"), "WebhooksPage"),
});
const webhook = createRoute({
  getParentRoute: () => shell,
  path: "/webhooks/$id",
  validateSearch: texts,
  component: lazyRouteComponent(() => import("./pages/webhooks/webhook-page.tsx"), "WebhookPage"),
});
const readings = createRoute({
  getParentRoute: () => shell,
  path: "/readings",
  validateSearch: texts,
  component: lazyRouteComponent(() => import("./pages/readings/readings-page.tsx"), "ReadingsPage"),
});
const events = createRoute({
  getParentRoute: () => shell,
  path: "/events",
  validateSearch: texts,
  component: lazyRouteComponent(() => import("./pages/events/events-page.tsx"), "EventsPage"),
});
const event = createRoute({
  getParentRoute: () => shell,
  path: "/events/$id",
  component: lazyRouteComponent(() => import("./pages/events/event-page.tsx"), "EventPage"),
});

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
