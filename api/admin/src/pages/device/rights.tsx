import { Card, Table, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { hub, take } from "../../hub/client.ts";
import type { components } from "../../hub/schema.d.ts";
import { Asked } from "../../parts/asked.tsx";

type Device = components["schemas"]["Device"];
type Member = components["schemas"]["Member"];
type Grant = components["schemas"]["Grant"];
const MEMBERS = 100;

/** By their role in the organisation, or by a grant on this device or its site. */
export function Rights({ device }: { readonly device: Device }) {
  const { t } = useTranslation("device");
  const organization = device.organization_id ?? "";
  const query = useQuery({
    queryKey: ["devices", "one", device.uid, "rights"],
    queryFn: async () => {
      const path = { id: organization };
      const [members, grants] = await Promise.all([
        take(hub.GET("/api/v1/organizations/{id}/members", { params: { path, query: { limit: MEMBERS } } })),
        take(hub.GET("/api/v1/organizations/{id}/grants", { params: { path } })),
      ]);
      return members.data.map((member) => ({ member, given: givenTo(member, grants.data, device) })).filter(mayAnything);
    },
    enabled: organization !== "",
  });
  return (
    <Card withBorder>
      <Title order={2} size="h4" mb="sm">
        {t("rights")}
      </Title>
      {organization === "" ? (
        <Text size="sm">{t("unclaimed")}</Text>
      ) : (
        <Asked query={query}>
          {(people) => (
            <Table.ScrollContainer minWidth={380} type="native" tabIndex={0} role="region" aria-label={t("rights")}>
              <Table>
                <Table.Thead>
                  <Table.Tr>
                    <Table.Th>{t("person")}</Table.Th>
                    <Table.Th>{t("role")}</Table.Th>
                    <Table.Th>{t("through")}</Table.Th>
                  </Table.Tr>
                </Table.Thead>
                <Table.Tbody>
                  {people.map(({ member, given }) =>
                    waysOf(member, given).map(({ role, way }) => (
                      <Table.Tr key={`${member.user_id} ${way}`}>
                        <Table.Td style={{ overflowWrap: "anywhere" }}>{member.name ?? member.email}</Table.Td>
                        <Table.Td>
                          {t(`roles.${role}`)}: {t(`may.${role}`)}
                        </Table.Td>
                        <Table.Td>{t(`ways.${way}`)}</Table.Td>
                      </Table.Tr>
                    )),
                  )}
                </Table.Tbody>
              </Table>
            </Table.ScrollContainer>
          )}
        </Asked>
      )}
    </Card>
  );
}

const givenTo = ({ user_id: user }: Member, grants: readonly Grant[], device: Device): readonly Grant[] =>
  grants.filter(
    (grant) => grant.user_id === user && (grant.device_id === device.id || (device.site_id !== null && grant.site_id === device.site_id)),
  );

const mayAnything = ({ member, given }: { readonly member: Member; readonly given: readonly Grant[] }): boolean =>
  member.role !== null || given.length > 0;

const waysOf = ({ role }: Member, given: readonly Grant[]) => [
  ...(role === null ? [] : [{ role, way: "organization" } as const]),
  ...given.map((grant) => ({ role: grant.role, way: grant.device_id === undefined ? ("site" as const) : ("device" as const) })),
];
