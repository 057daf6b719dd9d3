import { Cpu, Info, LayoutDashboard, type LucideIcon, Settings, Users } from "lucide-react";

/** Where one can go; the names are texts of `nav`. */
export const NAVIGATION: readonly { readonly to: string; readonly name: string; readonly icon: LucideIcon }[] = [
  { to: "/dashboard", name: "dashboard", icon: LayoutDashboard },
  { to: "/devices", name: "devices", icon: Cpu },
  { to: "/people", name: "people", icon: Users },
  { to: "/settings", name: "settings", icon: Settings },
  { to: "/about", name: "about", icon: Info },
];
