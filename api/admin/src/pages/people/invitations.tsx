import { Stack, Table, Text, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import { hub, take } from "../../hub/client.ts";
import { queries } from "../../hub/queries.ts";
import { Asked } from "../../parts/asked.tsx";
import { Copied } from "../../parts/copied.tsx";
import { Empty } from "../../parts/empty.tsx";
import { FormDialog } from "../../parts/form-dialog.tsx";
import { UndoableButton } from "../../parts/undoable.tsx";
import { WideTable } from "../../parts/wide-table.tsx";
import { GUEST, RoleField, roleOf } from "./roles.tsx";

const changed = () => queries.invalidateQueries({ queryKey: ["people", "invitations"] });

export function Invitations({ organization: id }: { readonly organization: string }) {
  const { t } = useTranslation("people");
  const formats = useFormats();
  const query = useQuery({
    queryKey: ["people", "invitations", id],
    queryFn: () => take(hub.GET("/api/v1/organizations/{id}/invitations", { params: { path: { id } } })),
  });
  const withdrawalOf = (invitation: string) => (client: typeof hub) =>
    take(client.DELETE("/api/v1/organizations/{id}/invitations/{invitation_id}", { params: { path: { id, invitation_id: invitation } } }));
  return (
    <Stack align="stretch">
      <div>
        <Invite organization={id} />
      </div>
      <Asked query={query}>
        {({ data }) =>
          data.length === 0 ? (
            <Empty title={t("no_invitations")}>{t("no_invitations_about")}</Empty>
          ) : (
            <WideTable minWidth={480} label={t("invitations")}>
              <Table>
                <Table.Thead>
                  <Table.Tr>
                    <Table.Th>{t("email")}</Table.Th>
                    <Table.Th>{t("role")}</Table.Th>
                    <Table.Th>{t("ends")}</Table.Th>
                    <Table.Th>{t("actions")}</Table.Th>
                  </Table.Tr>
                </Table.Thead>
                <Table.Tbody>
                  {data.map((one) => (
                    <Table.Tr key={one.id}>
                      <Table.Td>{one.email}</Table.Td>
                      <Table.Td>{t(`roles.${one.role ?? GUEST}`)}</Table.Td>
                      <Table.Td>{formats.ago(one.expires_at)}</Table.Td>
                      <Table.Td>
                        <UndoableButton
                          id={`invitations/${one.id}`}
                          queryKey={["people", "invitations"]}
                          label={t("withdraw")}
                          what={one.email}
                          about={t("withdraw_about")}
                          send={withdrawalOf(one.id)}
                        />
                      </Table.Td>
                    </Table.Tr>
                  ))}
                </Table.Tbody>
              </Table>
            </WideTable>
          )
        }
      </Asked>
    </Stack>
  );
}

function Invite({ organization: id }: { readonly organization: string }) {
  const { t } = useTranslation("people");
  return (
    <FormDialog
      label={t("invite")}
      initial={{ email: "", role: "viewer" }}
      onSend={async ({ email, role }) => {
        const body = { email: email.trim(), role: roleOf(role) };
        const invited = await take(hub.POST("/api/v1/organizations/{id}/invitations", { params: { path: { id } }, body }));
        await changed();
        return invited;
      }}
      result={({ token, invitation }) => (
        <>
          <Text size="sm">{t("invited", { email: invitation.email })}</Text>
          <Copied value={`${location.origin}/auth/invitation#token=${token}`} />
        </>
      )}
    >
      {(form) => (
        <>
          <TextInput label={t("email")} type="email" required maxLength={255} autoComplete="off" {...form.getInputProps("email")} />
          <RoleField {...form.getInputProps("role")} value={form.values.role} />
        </>
      )}
    </FormDialog>
  );
}
