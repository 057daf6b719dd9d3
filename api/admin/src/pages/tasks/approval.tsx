import { Alert, Button, Card, Group, List, PasswordInput, Stack, Text, TextInput, Title } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import { hub, take } from "../../hub/client.ts";
import { queries } from "../../hub/queries.ts";
import type { components } from "../../hub/schema.d.ts";
import { me } from "../../hub/session.ts";
import { Allowed } from "../../parts/allowed.tsx";
import { Failed } from "../../parts/failed.tsx";
import { JsonBlock } from "../../parts/json-block.tsx";
import { TextLink } from "../../parts/text-link.tsx";
import { useDeviceName } from "../definition/devices.tsx";
import { SetPin } from "./set-pin.tsx";

type Task = components["schemas"]["Task"];
type Decision = "approve" | "reject";

/** What is asked for, why it waits, and the two answers. The hash says that what was read is what is approved. */
export function Approval({ task, isLinked = false }: { readonly task: Task; readonly isLinked?: boolean }) {
  const { t } = useTranslation("tasks");
  const formats = useFormats();
  const nameOf = useDeviceName();
  const { approval, risk, actor } = task;
  return (
    <Card withBorder component="section" aria-label={t("waits", { name: task.name })}>
      <Stack gap="sm">
        <Title order={2} size="h4">
          {isLinked ? (
            <TextLink to="/tasks/$id" params={{ id: task.id }} inherit>
              {task.name}
            </TextLink>
          ) : (
            t("decide")
          )}
        </Title>
        <Text size="sm">
          {t("asked_by", { who: actor.kind, source: task.source, device: nameOf(task.device_uid) })}
          {approval && ` ${t("expires", { when: formats.ago(approval.expires_at) })}`}
        </Text>
        <JsonBlock value={task.actions} />
        {risk && (
          <div>
            <Text size="sm" fw={500}>
              {t("risk", { score: formats.number(risk.score), threshold: formats.number(risk.threshold) })}
            </Text>
            <List size="sm">
              {risk.reasons.map(({ rule, points, text }) => (
                <List.Item key={rule + text}>
                  {text} (+{formats.number(points)})
                </List.Item>
              ))}
            </List>
          </div>
        )}
        <Allowed need="approval.decide">
          <Answer task={task} />
        </Allowed>
      </Stack>
    </Card>
  );
}

function Answer({ task: { id, actor, approval, payload_hash: hash } }: { readonly task: Task }) {
  const { t } = useTranslation("tasks");
  const { data: self } = useQuery(me);
  const [note, setNote] = useState("");
  const [pin, setPin] = useState("");
  const [lacksReason, setLacksReason] = useState(false);
  const decide = useMutation({
    mutationFn: (decision: Decision) => {
      const said = { payload_hash: hash, ...(note === "" ? {} : { note }) };
      const params = { path: { id } };
      return decision === "approve"
        ? take(hub.POST("/api/v1/tasks/{id}/approve", { params, body: { ...said, ...(pin === "" ? {} : { pin }) } }))
        : take(hub.POST("/api/v1/tasks/{id}/reject", { params, body: said }));
    },
    onSuccess: () => queries.invalidateQueries({ queryKey: ["tasks"] }),
  });
  const reject = (): void => {
    setLacksReason(note === "");
    if (note !== "") decide.mutate("reject");
  };
  const isOwn = approval?.four_eyes === true && actor.id === self?.id;
  return (
    <>
      {isOwn && <Alert color="gray">{t("four_eyes")}</Alert>}
      {decide.isError && <Failed error={decide.error} />}
      <Group align="flex-start">
        <TextInput
          label={t("reason")}
          description={t("reason_about")}
          maxLength={500}
          value={note}
          error={lacksReason && note === "" ? t("reason_missing") : null}
          onChange={({ currentTarget }) => setNote(currentTarget.value)}
          style={{ flex: "1 1 240px" }}
        />
        {approval?.pin_required && (
          <Stack gap={4} align="flex-start">
            <PasswordInput
              label={t("pin")}
              description={t("pin_about")}
              inputMode="numeric"
              autoComplete="off"
              maxLength={12}
              value={pin}
              visibilityToggleButtonProps={{ "aria-label": t("show_pin") }}
              onChange={({ currentTarget }) => setPin(currentTarget.value)}
            />
            <SetPin />
          </Stack>
        )}
      </Group>
      <Group>
        <Button
          loading={decide.isPending && decide.variables === "approve"}
          disabled={decide.isPending}
          onClick={() => decide.mutate("approve")}
        >
          {t("approve")}
        </Button>
        <Button variant="default" loading={decide.isPending && decide.variables === "reject"} disabled={decide.isPending} onClick={reject}>
          {t("reject")}
        </Button>
      </Group>
    </>
  );
}
