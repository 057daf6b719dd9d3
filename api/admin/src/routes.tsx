import { createRootRoute, createRoute, createRouter, lazyRouteComponent, redirect } from "@tanstack/react-router";
import { ApiError } from "./hub/client.ts";
import { queries } from "./hub/queries.ts";
import { me, setupState } from "./hub/session.ts";
import { FailedPage, MissingPage } from "./parts/failed.tsx";
import { Waiting } from "./parts/waiting.tsx";
import { Shell } from "./shell/shell.tsx";

const root = createRootRoute({ notFoundComponent: MissingPage });

const start = createRoute({
  getParentRoute: () => root,
  path: "/",
  beforeLoad: async () => {
    const { needed } = await queries.ensureQueryData(setupState);
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

/** A path of this hub, not an address that begins like one. */
const isOurs = (next: unknown): next is string => typeof next === "string" && /^\/(?![/\\])/.test(next);

/** Everything that takes a person. */
const shell = createRoute({
  getParentRoute: () => root,
  id: "shell",
  component: Shell,
  beforeLoad: async ({ location }) => {
    try {
      await queries.ensureQueryData(me);
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 401) throw error;
      const { needed } = await queries.ensureQueryData(setupState);
      if (needed) redirect({ to: "/setup", throw: true });
      redirect({ to: "/auth/login", search: { next: location.href }, throw: true });
    }
  },
});

/** Filters stand in the URL as they are: texts. */
const texts = (search: Record<string, unknown>): Record<string, string | undefined> =>
  Object.fromEntries(Object.entries(search).map(([name, value]) => [name, typeof value === "string" ? value : String(value)]));

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

export const router = createRouter({
  routeTree: root.addChildren([start, setup, login, register, forgot, reset, verify, invitation, shell.addChildren([dashboard, devices, addDevice, device, automations, newAutomation, automation, schedules, newSchedule, schedule, scenes, newScene, about, people, account, settings])]),
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
