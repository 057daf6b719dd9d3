import { Anchor, Button, Card, FileButton, Group, Stack, Table, Text, TextInput, Title } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useMutation } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { hub, take } from "../../hub/client.ts";
import { queries } from "../../hub/queries.ts";
import type { components } from "../../hub/schema.d.ts";
import { Allowed, Editable } from "../../parts/allowed.tsx";
import { Failed } from "../../parts/failed.tsx";
import { FormDialog } from "../../parts/form-dialog.tsx";
import { Paged, usePages } from "../../parts/paged.tsx";
import { UndoableButton } from "../../parts/undoable.tsx";
import { WideTable } from "../../parts/wide-table.tsx";

type Device = components["schemas"]["Device"];
type Code = components["schemas"]["IrCodeSummary"];
const PAGE = 100;
const LISTENING_S = 30;

/** The codes that it sends: learned by itself, or of a file. */
export function Infrared({ device: { id, uid } }: { readonly device: Pick<Device, "id" | "uid"> }) {
  const { t } = useTranslation("device");
  const codes = usePages({
    queryKey: ["devices", "one", uid, "ir"],
    ask: (cursor) =>
      take(
        hub.GET("/api/v1/devices/{id}/ir-codes", {
          params: { path: { id: uid }, query: { limit: PAGE, ...cursor } },
        }),
      ),
  });
  return (
    <Card withBorder>
      <Title order={2} size="h4" mb="sm">
        {t("infrared")}
      </Title>
      <Stack>
        <Editable need="device.manage" on={id}>
          <Sources uid={uid} isEmpty={codes.data?.pages[0]?.data.length === 0} />
        </Editable>
        <Paged query={codes} empty={<Text size="sm">{t("no_codes")}</Text>}>
          {(shown) => <CodeTable id={id} uid={uid} codes={shown} />}
        </Paged>
      </Stack>
    </Card>
  );
}

const again = (uid: string) => queries.invalidateQueries({ queryKey: ["devices", "one", uid, "ir"] });

/** Learning, and files. */
function Sources({ uid, isEmpty }: { readonly uid: string; readonly isEmpty: boolean }) {
  const { t } = useTranslation("device");
  const learning = useMutation({
    mutationFn: () =>
      take(hub.POST("/api/v1/devices/{id}/ir-codes/learn", { params: { path: { id: uid } }, body: { timeout_s: LISTENING_S } })),
  });
  const importing = useMutation({
    mutationFn: async (file: File) => {
      const text = await file.text();
      return take(
        hub.POST("/api/v1/devices/{id}/ir-codes/import", {
          params: { path: { id: uid } },
          headers: { "content-type": file.name.endsWith(".json") ? "application/json" : "text/plain" },
          body: text,
          // The hub wants the file as it is.
          bodySerializer: (body: unknown) => String(body),
        }),
      );
    },
    onSuccess: ({ imported }) => notifications.show({ message: t("imported", { count: imported }) }),
    onSettled: () => again(uid),
  });
  return (
    <>
      <Group>
        <Button variant="default" loading={learning.isPending} onClick={() => learning.mutate()}>
          {t("learn")}
        </Button>
        <FileButton accept=".ir,.json,text/plain" onChange={(file) => file && importing.mutate(file)}>
          {(props) => (
            <Button {...props} variant="default" loading={importing.isPending}>
              {t("import")}
            </Button>
          )}
        </FileButton>
        {!isEmpty && (
          <Anchor href={`/api/v1/devices/${uid}/ir-codes/export`} download={`${uid}.ir`} size="sm">
            {t("export")}
          </Anchor>
        )}
      </Group>
      {learning.data && (
        <Text size="sm" role="status">
          {t("listening", { seconds: LISTENING_S })}
        </Text>
      )}
      {learning.isError && <Failed error={learning.error} />}
      {importing.isError && <Failed error={importing.error} />}
    </>
  );
}

function CodeTable({ id, uid, codes }: { readonly id: string; readonly uid: string; readonly codes: readonly Code[] }) {
  const { t } = useTranslation("device");
  return (
    <WideTable minWidth={460} label={t("infrared")}>
      <Table>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t("name")}</Table.Th>
            <Table.Th>{t("protocol")}</Table.Th>
            <Table.Th>{t("origin")}</Table.Th>
            <Table.Th>{t("actions")}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {codes.map((code) => (
            <CodeRow key={code.id} id={id} uid={uid} code={code} />
          ))}
        </Table.Tbody>
      </Table>
    </WideTable>
  );
}

function CodeRow({ id, uid, code }: { readonly id: string; readonly uid: string; readonly code: Code }) {
  const { t } = useTranslation("device");
  const path = { id: uid, code: code.id };
  const sending = useMutation({
    mutationFn: () => take(hub.POST("/api/v1/devices/{id}/ir-codes/{code}/send", { params: { path }, body: {} })),
    onSuccess: ({ status }) => notifications.show({ message: t(status === "awaiting_confirmation" ? "waiting" : "sent") }),
    onSettled: () => queries.invalidateQueries({ queryKey: ["devices", "one", uid, "commands"] }),
  });
  return (
    <Table.Tr>
      <Table.Td>{code.name}</Table.Td>
      <Table.Td>{code.written_as?.protocol ?? t("timings", { count: code.timings_count })}</Table.Td>
      <Table.Td>{t(`origins.${code.source}`)}</Table.Td>
      <Table.Td>
        <Group gap="xs">
          <Allowed need="device.control" on={id}>
            <Button
              size="compact-xs"
              loading={sending.isPending}
              aria-label={t("send_code", { name: code.name })}
              onClick={() => sending.mutate()}
            >
              {t("send")}
            </Button>
          </Allowed>
          <Allowed need="device.manage" on={id}>
            <Renaming uid={uid} code={code} />
            <UndoableButton
              id={`ir-codes/${code.id}`}
              queryKey={["devices", "one", uid, "ir"]}
              label={t("shell:remove")}
              what={code.name}
              about={t("remove_code_about")}
              button={{ size: "compact-xs" }}
              send={(client) =>
                take(client.DELETE("/api/v1/devices/{id}/ir-codes/{code}", { params: { path, header: { "if-match": "*" } } }))
              }
            />
          </Allowed>
        </Group>
        {sending.isError && <Failed error={sending.error} />}
      </Table.Td>
    </Table.Tr>
  );
}

/** Under what name it is asked for; what it sends stays. */
function Renaming({ uid, code: { id, name } }: { readonly uid: string; readonly code: Code }) {
  const { t } = useTranslation("device");
  const rename = async (body: { name: string }): Promise<void> => {
    const params = { path: { id: uid, code: id }, header: { "if-match": "*" } };
    await take(hub.PATCH("/api/v1/devices/{id}/ir-codes/{code}", { params, body }));
    await again(uid);
  };
  return (
    <FormDialog label={t("rename")} what={name} button={{ size: "compact-xs", variant: "default" }} initial={{ name }} onSend={rename}>
      {(form) => <TextInput label={t("name")} required maxLength={120} data-autofocus {...form.getInputProps("name")} />}
    </FormDialog>
  );
}
