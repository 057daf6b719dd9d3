import { Button, Menu } from "@mantine/core";
import { Download } from "lucide-react";
import { Fragment } from "react";
import { useTranslation } from "react-i18next";
import { boundsOf, nameOf, type Series, type View } from "./view.ts";

const FORMATS = ["csv", "ndjson", "parquet"] as const;

/** Every reading of the time that is shown: a file of each series, which the browser takes as it comes. */
export function ExportMenu({ view, names }: { readonly view: View; readonly names: readonly string[] }) {
  const { t } = useTranslation("readings");
  return (
    <Menu position="bottom-end" withinPortal>
      <Menu.Target>
        <Button variant="default" disabled={view.series.length === 0} leftSection={<Download size={16} aria-hidden />}>
          {t("export")}
        </Button>
      </Menu.Target>
      <Menu.Dropdown mah={400} style={{ overflowY: "auto" }}>
        <Files view={view} names={names} />
      </Menu.Dropdown>
    </Menu>
  );
}

/** Made when the menu opens: until then "now" goes on. */
function Files({ view, names }: { readonly view: View; readonly names: readonly string[] }) {
  const { t } = useTranslation("readings");
  return view.series.map((one, index) => (
    <Fragment key={nameOf(one)}>
      <Menu.Label>{names[index]}</Menu.Label>
      {FORMATS.map((format) => (
        <Menu.Item
          key={format}
          component="a"
          href={addressOf(view, one, format)}
          download={`${one.uid}-${one.key}.${format}`}
          aria-label={t("export_as", { what: names[index], format })}
        >
          {t(`formats.${format}`)}
        </Menu.Item>
      ))}
    </Fragment>
  ));
}

function addressOf(view: View, { uid, key }: Series, format: string): string {
  const { from, to } = boundsOf(view, Date.now());
  return `/api/v1/readings/export?${new URLSearchParams({
    format,
    device: uid,
    key,
    from: new Date(from).toISOString(),
    to: new Date(to).toISOString(),
  })}`;
}
