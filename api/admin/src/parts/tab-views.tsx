import { Tabs } from "@mantine/core";
import type { ReactNode } from "react";

interface TabViewsProps {
  readonly shown: string | undefined;
  readonly onShow: (view: string) => void;
  readonly views: readonly { readonly name: string; readonly label: string; readonly content: ReactNode }[];
}

/** One of several views; which one stands in the URL. */
export function TabViews({ shown, onShow, views }: TabViewsProps) {
  const name = views.find((view) => view.name === shown)?.name ?? views[0]?.name;
  return (
    <Tabs value={name ?? null} onChange={(next) => next !== null && onShow(next)} keepMounted={false}>
      <Tabs.List mb="md">
        {views.map((view) => (
          <Tabs.Tab key={view.name} value={view.name}>
            {view.label}
          </Tabs.Tab>
        ))}
      </Tabs.List>
      {views.map((view) => (
        <Tabs.Panel key={view.name} value={view.name}>
          {view.content}
        </Tabs.Panel>
      ))}
    </Tabs>
  );
}
