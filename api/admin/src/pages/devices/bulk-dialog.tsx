import { Badge, Button, Group, Modal, Progress, ScrollArea, Stack, Table, Text, TextInput } from "@mantine/core";
import { useForm, type UseFormReturnType } from "@mantine/form";
import { memo, type ReactNode, useState } from "react";
import { useTranslation } from "react-i18next";
import { RequestId, useErrorWords } from "../../parts/failed.tsx";
import { type BulkRun, type Outcome, type Step, useBulkRun } from "./bulk-run.ts";
import type { Device } from "./chosen.ts";

const NAMED = 5;
const LIST_PX = 320;

interface BulkDialogProps<V extends Record<string, unknown>> {
  readonly label: string;
  readonly devices: readonly Device[];
  readonly initial: V;
  readonly step: (values: V) => Step;
  /** Their number has to be typed first. */
  readonly isForGood?: boolean;
  readonly children: (form: UseFormReturnType<V>) => ReactNode;
}

/** Asks what is to be done with those devices, does it, and tells of each what came of it. */
export function BulkDialog<V extends Record<string, unknown>>(props: BulkDialogProps<V>) {
  const { t } = useTranslation("devices");
  const { label } = props;
  // As they were chosen: those that are removed are not among the chosen any more.
  const [devices, setDevices] = useState<readonly Device[]>();
  const close = (): void => setDevices(undefined);
  return (
    <>
      <Button size="xs" variant="default" onClick={() => setDevices(props.devices)}>
        {label}
      </Button>
      <Modal
        opened={devices !== undefined}
        onClose={close}
        title={t("bulk_title", { label, count: devices?.length ?? 0 })}
        size="lg"
        closeButtonProps={{ "aria-label": t("shell:close") }}
        attributes={{ header: { role: "presentation" } }}
      >
        {devices && <Content {...props} devices={devices} onClose={close} />}
      </Modal>
    </>
  );
}

function Content<V extends Record<string, unknown>>(props: BulkDialogProps<V> & { readonly onClose: () => void }) {
  const { devices, initial, step, onClose } = props;
  const form = useForm<V>({ initialValues: initial });
  const bulk = useBulkRun();
  if (bulk.outcomes.length > 0)
    return <Outcomes bulk={bulk} onAgain={(failed) => void bulk.run(failed, step(form.values))} onClose={onClose} />;
  return <Question {...props} form={form} onRun={() => void bulk.run(devices, step(form.values))} />;
}

interface QuestionProps<V extends Record<string, unknown>> extends BulkDialogProps<V> {
  readonly form: UseFormReturnType<V>;
  readonly onRun: () => void;
  readonly onClose: () => void;
}

function Question<V extends Record<string, unknown>>({ label, devices, isForGood, children, form, onRun, onClose }: QuestionProps<V>) {
  const { t } = useTranslation("devices");
  const [typed, setTyped] = useState("");
  const count = devices.length;
  const names = devices.slice(0, NAMED).map(({ name }) => name);
  return (
    <form onSubmit={form.onSubmit(onRun)}>
      <Stack>
        <Text size="sm" style={{ overflowWrap: "anywhere" }}>
          {names.join(", ")} {count > NAMED && t("others", { count: count - NAMED })}
        </Text>
        {children(form)}
        {isForGood && (
          <TextInput
            label={t("shell:removal.type", { name: count })}
            inputMode="numeric"
            autoComplete="off"
            value={typed}
            onChange={({ currentTarget }) => setTyped(currentTarget.value)}
          />
        )}
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            {t("shell:cancel")}
          </Button>
          <Button type="submit" {...(isForGood ? { color: "red", disabled: typed.trim() !== String(count) } : {})}>
            {label}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

interface OutcomesProps {
  readonly bulk: BulkRun;
  readonly onAgain: (failed: readonly Device[]) => void;
  readonly onClose: () => void;
}

function Outcomes({ bulk: { outcomes, isRunning }, onAgain, onClose }: OutcomesProps) {
  const { t } = useTranslation("devices");
  const failed = outcomes.filter(({ state }) => state === "failed");
  const done = outcomes.filter(({ state }) => state === "done").length;
  return (
    <Stack>
      <Text role="status">
        {t("done_of", { count: done, all: outcomes.length })} {failed.length > 0 && t("failed_of", { count: failed.length })}
      </Text>
      <Progress.Root>
        <Progress.Section value={(done / outcomes.length) * 100} color="teal" aria-label={t("done")} />
        <Progress.Section value={(failed.length / outcomes.length) * 100} color="red" aria-label={t("failed")} />
      </Progress.Root>
      <ScrollArea.Autosize mah={LIST_PX} viewportProps={{ tabIndex: 0, role: "region", "aria-label": t("outcomes") }}>
        <Table>
          <Table.Tbody>
            {outcomes.map((outcome) => (
              <OutcomeRow key={outcome.device.id} outcome={outcome} />
            ))}
          </Table.Tbody>
        </Table>
      </ScrollArea.Autosize>
      <Group justify="flex-end">
        {failed.length > 0 && !isRunning && (
          <Button variant="default" onClick={() => onAgain(failed.map(({ device }) => device))}>
            {t("again")}
          </Button>
        )}
        <Button onClick={onClose} loading={isRunning}>
          {t("shell:close")}
        </Button>
      </Group>
    </Stack>
  );
}

const COLORS = { waiting: "gray", done: "teal", failed: "red" } as const;

const OutcomeRow = memo(({ outcome: { device, state, error } }: { readonly outcome: Outcome }) => {
  const { t } = useTranslation("devices");
  const words = useErrorWords();
  return (
    <Table.Tr>
      <Table.Td style={{ overflowWrap: "anywhere" }}>
        {device.name}
        {state === "failed" && (
          <>
            <Text size="sm">{words(error)}</Text>
            <RequestId error={error} />
          </>
        )}
      </Table.Td>
      <Table.Td w={120}>
        <Badge variant="dot" color={COLORS[state]} miw="max-content">
          {t(state)}
        </Badge>
      </Table.Td>
    </Table.Tr>
  );
});
