import { Group, Select } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { MomentInput } from "../../parts/moment-input.tsx";
import { AGGREGATES, boundsOf, RANGES, type View, type ViewChange } from "./view.ts";

const BUCKETS = ["1s", "10s", "1m", "5m", "15m", "1h", "6h", "1d"] as const;
const OWN = "own";

/** Which time, and how fine. */
export function Terms({ view, set }: { readonly view: View; readonly set: (change: ViewChange) => void }) {
  const { t } = useTranslation("readings");
  const { span, range, bucket, aggregate } = view;
  const choose = (value: string | null) => {
    if (value !== OWN) return set({ range: value ?? undefined, from: undefined, to: undefined });
    const { from, to } = boundsOf(view, Date.now());
    set({ from: new Date(from).toISOString(), to: new Date(to).toISOString() });
  };
  const buckets = bucket === undefined || BUCKETS.some((one) => one === bucket) ? BUCKETS : [...BUCKETS, bucket];
  return (
    <Group align="flex-end">
      <Select
        label={t("range")}
        allowDeselect={false}
        data={[...Object.keys(RANGES), OWN].map((value) => ({ value, label: t(`ranges.${value}`) }))}
        value={span ? OWN : range}
        onChange={choose}
      />
      {span && (
        <>
          <MomentInput label={t("from")} value={span.from} onChange={(from) => from !== undefined && set({ from })} />
          <MomentInput label={t("to")} value={span.to} onChange={(to) => to !== undefined && set({ to })} />
        </>
      )}
      <Select
        label={t("bucket")}
        placeholder={t("automatic")}
        clearable
        clearButtonProps={{ "aria-label": t("automatic") }}
        data={[...buckets]}
        value={bucket ?? null}
        onChange={(value) => set({ bucket: value ?? undefined })}
      />
      {bucket !== undefined && (
        <Select
          label={t("aggregate")}
          allowDeselect={false}
          data={AGGREGATES.map((value) => ({ value, label: t(`aggregates.${value}`) }))}
          value={aggregate}
          onChange={(value) => set({ agg: value ?? undefined })}
        />
      )}
    </Group>
  );
}
