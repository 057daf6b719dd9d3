import { Badge, Button, Card, Group, Modal, Stack, Table, Text, Title } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import { hub, take } from "../../hub/client.ts";
import { queries } from "../../hub/queries.ts";
import { useRights } from "../../hub/rights.ts";
import type { components } from "../../hub/schema.d.ts";
import { Allowed } from "../../parts/allowed.tsx";
import { Asked } from "../../parts/asked.tsx";
import { useConfirm } from "../../parts/confirm.tsx";
import { Copied } from "../../parts/copied.tsx";
import { Failed } from "../../parts/failed.tsx";
import { UndoableButton } from "../../parts/undoable.tsx";
import { WideTable } from "../../parts/wide-table.tsx";

type Device = components["schemas"]["Device"];
type Credential = components["schemas"]["Credential"];
type Rotated = components["schemas"]["Rotated"];

/** What it logs in with; a secret is shown once, when it is made. */
export function Credentials({ device: { id, uid } }: { readonly device: Pick<Device, "id" | "uid"> }) {
  const { t } = useTranslation("device");
  const confirm = useConfirm();
  const { may } = useRights();
  const key = ["devices", "one", uid, "credentials"];
  const query = useQuery({
    queryKey: key,
    queryFn: () => take(hub.GET("/api/v1/devices/{id}/credentials", { params: { path: { id: uid } } })),
  });
  const again = () => queries.invalidateQueries({ queryKey: key });
  const rotating = useMutation({
    mutationFn: () => take(hub.POST("/api/v1/devices/{id}/rotate-token", { params: { path: { id: uid } } })),
    onSettled: again,
  });
  const ask = () => confirm({ title: t("rotate"), about: t("rotate_about"), color: "red", onYes: () => rotating.mutate() });
  return (
    <Card withBorder>
      <Group justify="space-between" mb="sm">
        <Title order={2} size="h4">
          {t("credentials")}
        </Title>
        <Allowed need="device.manage" on={id}>
          <Button variant="default" size="xs" loading={rotating.isPending} onClick={ask}>
            {t("rotate")}
          </Button>
        </Allowed>
      </Group>
      {rotating.isError && <Failed error={rotating.error} />}
      <Asked query={query}>{({ data }) => <CredentialTable uid={uid} credentials={data} mayRevoke={may("device.manage", id)} />}</Asked>
      {rotating.data && <Secrets rotated={rotating.data} onClose={() => rotating.reset()} />}
    </Card>
  );
}

interface CredentialTableProps {
  readonly uid: string;
  readonly credentials: readonly Credential[];
  readonly mayRevoke: boolean;
}

function CredentialTable({ uid, credentials, mayRevoke }: CredentialTableProps) {
  const { t } = useTranslation("device");
  const formats = useFormats();
  const stateOf = ({ revoked_at: revoked, expires_at: expires }: Credential) =>
    revoked !== null ? "revoked" : expires !== null && Date.parse(expires) < Date.now() ? "expired" : "valid";
  return (
    <WideTable minWidth={480} label={t("credentials")}>
      <Table>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t("kind")}</Table.Th>
            <Table.Th>{t("state")}</Table.Th>
            <Table.Th>{t("made")}</Table.Th>
            <Table.Th>{t("used")}</Table.Th>
            <Table.Th>{t("revoke")}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {credentials.map((one) => (
            <Table.Tr key={one.id}>
              <Table.Td>{t(`kinds.${one.kind}`)}</Table.Td>
              <Table.Td>
                <Badge miw="max-content" variant="dot" color={stateOf(one) === "valid" ? "teal" : "gray"}>
                  {t(stateOf(one))}
                </Badge>
              </Table.Td>
              <Table.Td>{formats.dateTime(one.created_at)}</Table.Td>
              <Table.Td>{one.last_used_at ? formats.ago(one.last_used_at) : t("never")}</Table.Td>
              <Table.Td>
                {mayRevoke && stateOf(one) === "valid" && (
                  <UndoableButton
                    id={`credentials/${one.id}`}
                    queryKey={["devices", "one", uid, "credentials"]}
                    label={t("revoke")}
                    what={t(`kinds.${one.kind}`)}
                    about={t("revoke_about")}
                    button={{ size: "compact-xs" }}
                    send={(client) =>
                      take(client.POST("/api/v1/devices/{id}/revoke", { params: { path: { id: uid } }, body: { credential_id: one.id } }))
                    }
                  />
                )}
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </WideTable>
  );
}

function Secrets({ rotated, onClose }: { readonly rotated: Rotated; readonly onClose: () => void }) {
  const { t } = useTranslation("device");
  const secrets = [
    ["kinds.token", rotated.device_token],
    ["kinds.jwt", rotated.device_jwt],
    ["task_key", rotated.task_key],
  ] as const;
  return (
    <Modal opened onClose={onClose} title={t("new_secrets")} size="lg" closeButtonProps={{ "aria-label": t("shell:close") }}>
      <Stack>
        <Text size="sm">{t("once")}</Text>
        {secrets.map(([name, value]) => (
          <Copied key={name} label={t(name)} value={value} />
        ))}
      </Stack>
    </Modal>
  );
}
