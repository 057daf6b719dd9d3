import { Card, Group, Select, Table, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { hub, take } from "../../hub/client.ts";
import { queries } from "../../hub/queries.ts";
import type { components } from "../../hub/schema.d.ts";
import { Asked } from "../../parts/asked.tsx";
import { FormDialog } from "../../parts/form-dialog.tsx";
import { UndoableButton } from "../../parts/undoable.tsx";
import { WideTable } from "../../parts/wide-table.tsx";
import { RoleField } from "../people/roles.tsx";

type Device = components["schemas"]["Device"];
type Member = components["schemas"]["Member"];
type Grant = components["schemas"]["Grant"];
const MEMBERS = 100;
const DEVICE_ROLES = ["viewer", "operator", "admin"] as const;

async function changed(): Promise<void> {
  await Promise.all(
    [
      ["devices", "one"],
      ["people", "grants"],
    ].map((queryKey) => queries.invalidateQueries({ queryKey })),
  );
}

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
      return members.data.map((member) => ({ member, given: givenTo(member, grants.data, device) }));
    },
    enabled: organization !== "",
  });
  return (
    <Card withBorder>
      <Group justify="space-between" mb="sm">
        <Title order={2} size="h4">
          {t("rights")}
        </Title>
        {query.data && <Give device={device} members={query.data.map(({ member }) => member)} />}
      </Group>
      {organization === "" ? (
        <Text size="sm">{t("unclaimed")}</Text>
      ) : (
        <Asked query={query}>
          {(people) => (
            <WideTable minWidth={380} label={t("rights")}>
              <Table>
                <Table.Thead>
                  <Table.Tr>
                    <Table.Th>{t("person")}</Table.Th>
                    <Table.Th>{t("role")}</Table.Th>
                    <Table.Th>{t("through")}</Table.Th>
                    <Table.Th>{t("actions")}</Table.Th>
                  </Table.Tr>
                </Table.Thead>
                <Table.Tbody>
                  {people.filter(mayAnything).map(({ member, given }) =>
                    waysOf(member, given).map(({ role, way }) => (
                      <Table.Tr key={`${member.user_id} ${way}`}>
                        <Table.Td style={{ overflowWrap: "anywhere" }}>{member.name ?? member.email}</Table.Td>
                        <Table.Td>
                          {t(`roles.${role}`)}: {t(`may.${role}`)}
                        </Table.Td>
                        <Table.Td>{t(`ways.${way}`)}</Table.Td>
                        <Table.Td>{way === "device" && <TakeBack device={device} member={member} />}</Table.Td>
                      </Table.Tr>
                    )),
                  )}
                </Table.Tbody>
              </Table>
            </WideTable>
          )}
        </Asked>
      )}
    </Card>
  );
}

interface GiveProps {
  readonly device: Device;
  readonly members: readonly Member[];
}

/** A role on this device alone; another one takes the place of the first. */
function Give({ device: { uid, organization_id: organization, name }, members }: GiveProps) {
  const { t } = useTranslation("device");
  const initial: { user: string; role: (typeof DEVICE_ROLES)[number] } = { user: "", role: "viewer" };
  return (
    <FormDialog
      label={t("give")}
      what={name}
      button={{ variant: "default", size: "xs" }}
      initial={initial}
      onSend={async ({ user, role }) => {
        const body = { user_id: user, role, device: uid };
        await take(hub.POST("/api/v1/organizations/{id}/grants", { params: { path: { id: organization ?? "" } }, body }));
        await changed();
      }}
    >
      {(form) => (
        <>
          <Select
            label={t("person")}
            searchable
            required
            data={members.map(({ user_id: value, email: label }) => ({ value, label }))}
            {...form.getInputProps("user")}
          />
          <RoleField {...form.getInputProps("role")} value={form.values.role} roles={DEVICE_ROLES} />
        </>
      )}
    </FormDialog>
  );
}

function TakeBack({ device: { id: target, organization_id: organization }, member }: { readonly device: Device; readonly member: Member }) {
  const { t } = useTranslation("device");
  const path = { id: organization ?? "", user_id: member.user_id, target_id: target };
  return (
    <UndoableButton
      id={`grants/${member.user_id}/${target}`}
      queryKey={["devices", "one"]}
      label={t("take_back")}
      what={member.email}
      about={t("take_back_about")}
      send={async (client) => {
        await take(client.DELETE("/api/v1/organizations/{id}/grants/{user_id}/{target_id}", { params: { path } }));
        await changed();
      }}
    />
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
