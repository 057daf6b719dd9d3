import { Group, NativeSelect, Switch, Table, Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { hub, take } from "../../hub/client.ts";
import { queries } from "../../hub/queries.ts";
import type { components } from "../../hub/schema.d.ts";
import { FormDialog } from "../../parts/form-dialog.tsx";
import { Paged, usePages } from "../../parts/paged.tsx";
import { WideTable } from "../../parts/wide-table.tsx";

type User = components["schemas"]["User"];

/** Everybody who has an account on the hub, whatever the organisation: for its administrators. */
export function Accounts() {
  const { t } = useTranslation("people");
  const query = usePages({
    queryKey: ["people", "accounts"],
    ask: (cursor) => take(hub.GET("/api/v1/users", { params: { query: cursor } })),
  });
  return (
    <Paged query={query} empty={null}>
      {(users) => (
        <WideTable minWidth={720} label={t("accounts")}>
          <Table>
            <Table.Thead>
              <Table.Tr>
                <Table.Th>{t("name")}</Table.Th>
                <Table.Th>{t("hub_role")}</Table.Th>
                <Table.Th>{t("active")}</Table.Th>
                <Table.Th>{t("verified")}</Table.Th>
                <Table.Th>{t("actions")}</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {users.map((user) => (
                <Table.Tr key={user.id}>
                  <Table.Td>
                    <Text size="sm" fw={600}>
                      {user.name ?? user.email}
                    </Text>
                    <Text size="xs" c="dimmed">
                      {user.name === null ? "" : user.email}
                    </Text>
                  </Table.Td>
                  <Table.Td>{t(`hub_roles.${user.role}`)}</Table.Td>
                  <Table.Td>{t(user.is_active ? "shell:yes" : "shell:no")}</Table.Td>
                  <Table.Td>{t(user.is_email_verified ? "shell:yes" : "shell:no")}</Table.Td>
                  <Table.Td>
                    <ChangeAccount user={user} />
                  </Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </WideTable>
      )}
    </Paged>
  );
}

function ChangeAccount({ user }: { readonly user: User }) {
  const { t } = useTranslation("people");
  return (
    <FormDialog
      label={t("change")}
      what={user.email}
      button={{ size: "compact-sm", variant: "default" }}
      initial={{ isActive: user.is_active, role: user.role }}
      onSend={async ({ isActive, role }) => {
        await take(hub.PATCH("/api/v1/users/{id}", { params: { path: { id: user.id } }, body: { is_active: isActive, role } }));
        await queries.invalidateQueries({ queryKey: ["people"] });
      }}
    >
      {(form) => (
        <>
          <Group>
            <Switch label={t("active")} description={t("active_about")} {...form.getInputProps("isActive", { type: "checkbox" })} />
          </Group>
          <NativeSelect
            label={t("hub_role")}
            description={t("hub_role_about")}
            data={(["user", "admin"] as const).map((role) => ({ value: role, label: t(`hub_roles.${role}`) }))}
            {...form.getInputProps("role")}
          />
        </>
      )}
    </FormDialog>
  );
}
