import { Group, Table, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import { hub, take } from "../../hub/client.ts";
import { queries } from "../../hub/queries.ts";
import type { components } from "../../hub/schema.d.ts";
import { useRights } from "../../hub/rights.ts";
import { me } from "../../hub/session.ts";
import { Allowed } from "../../parts/allowed.tsx";
import { FormDialog } from "../../parts/form-dialog.tsx";
import { Paged, usePages } from "../../parts/paged.tsx";
import { Removal } from "../../parts/removal.tsx";
import { WideTable } from "../../parts/wide-table.tsx";
import { GUEST, RoleField, roleOf } from "./roles.tsx";

type Member = components["schemas"]["Member"];

export function Members({ organization: id }: { readonly organization: string }) {
  const { t } = useTranslation("people");
  const query = usePages({
    queryKey: ["people", "members", id],
    ask: (cursor) => take(hub.GET("/api/v1/organizations/{id}/members", { params: { path: { id }, query: cursor } })),
  });
  return (
    <Paged query={query} empty={null}>
      {(members) => (
        <WideTable minWidth={720} label={t("members")}>
          <Table>
            <Table.Thead>
              <Table.Tr>
                <Table.Th>{t("name")}</Table.Th>
                <Table.Th>{t("role")}</Table.Th>
                <Table.Th>{t("since")}</Table.Th>
                <Table.Th>{t("actions")}</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {members.map((member) => (
                <MemberRow key={member.user_id} member={member} organization={id} />
              ))}
            </Table.Tbody>
          </Table>
        </WideTable>
      )}
    </Paged>
  );
}

function MemberRow({ member, organization }: { readonly member: Member; readonly organization: string }) {
  const { t } = useTranslation("people");
  const formats = useFormats();
  const { may } = useRights();
  const { data } = useQuery(me);
  const isMe = data?.user?.id === member.user_id;
  const path = { id: organization, user_id: member.user_id };
  return (
    <Table.Tr>
      <Table.Td>
        <Text size="sm" fw={600}>
          {member.name ?? member.email}
        </Text>
        <Text size="xs" c="dimmed">
          {member.name === null ? "" : member.email} {isMe && t("you")}
        </Text>
      </Table.Td>
      <Table.Td>{t(`roles.${member.role ?? GUEST}`)}</Table.Td>
      <Table.Td>{formats.dateTime(member.created_at)}</Table.Td>
      <Table.Td>
        <Group gap="xs" wrap="nowrap">
          <Allowed need="member.manage">
            <FormDialog
              label={t("change_role")}
              what={member.email}
              button={{ size: "compact-sm", variant: "default" }}
              initial={{ role: member.role ?? GUEST }}
              onSend={({ role }) =>
                changed(take(hub.PATCH("/api/v1/organizations/{id}/members/{user_id}", { params: { path }, body: { role: roleOf(role) } })))
              }
            >
              {(form) => <RoleField {...form.getInputProps("role")} value={form.values.role} />}
            </FormDialog>
          </Allowed>
          {(isMe || may("member.manage")) && (
            <Removal
              name={member.email}
              label={t("remove_member")}
              button={{ size: "compact-sm" }}
              remove={() => changed(take(hub.DELETE("/api/v1/organizations/{id}/members/{user_id}", { params: { path } })))}
            >
              {t("remove_member_about")}
            </Removal>
          )}
        </Group>
      </Table.Td>
    </Table.Tr>
  );
}

async function changed<T>(change: Promise<T>): Promise<T> {
  const answer = await change;
  await queries.invalidateQueries({ queryKey: ["people"] });
  return answer;
}
