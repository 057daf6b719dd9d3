import { Anchor, NativeSelect, Select, Stack, Table } from "@mantine/core";
import type { UseFormReturnType } from "@mantine/form";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { hub, take } from "../../hub/client.ts";
import { queries } from "../../hub/queries.ts";
import type { components } from "../../hub/schema.d.ts";
import { Asked } from "../../parts/asked.tsx";
import { DeviceSelect } from "../../parts/device-select.tsx";
import { Empty } from "../../parts/empty.tsx";
import { FormDialog } from "../../parts/form-dialog.tsx";
import { UndoableButton } from "../../parts/undoable.tsx";
import { WideTable } from "../../parts/wide-table.tsx";
import { RoleField } from "./roles.tsx";

type Grant = components["schemas"]["Grant"];
const DEVICE_ROLES = ["viewer", "operator", "admin"] as const;
const OFFERED = 50;
const changed = () => queries.invalidateQueries({ queryKey: ["people", "grants"] });

export function Grants({ organization: id }: { readonly organization: string }) {
  const { t } = useTranslation("people");
  const query = useQuery({
    queryKey: ["people", "grants", id],
    queryFn: () => take(hub.GET("/api/v1/organizations/{id}/grants", { params: { path: { id } } })),
  });
  return (
    <Stack>
      <div>
        <MakeGrant organization={id} />
      </div>
      <Asked query={query}>
        {({ data }) =>
          data.length === 0 ? (
            <Empty title={t("no_grants")}>{t("no_grants_about")}</Empty>
          ) : (
            <WideTable minWidth={480} label={t("grants")}>
              <Table>
                <Table.Thead>
                  <Table.Tr>
                    <Table.Th>{t("name")}</Table.Th>
                    <Table.Th>{t("target")}</Table.Th>
                    <Table.Th>{t("role")}</Table.Th>
                    <Table.Th>{t("actions")}</Table.Th>
                  </Table.Tr>
                </Table.Thead>
                <Table.Tbody>
                  {data.map((grant) => (
                    <GrantRow key={`${grant.user_id} ${targetOf(grant)}`} grant={grant} organization={id} />
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

const targetOf = ({ device_id: device, site_id: site }: Grant): string => device ?? site ?? "";

function GrantRow({ grant, organization: id }: { readonly grant: Grant; readonly organization: string }) {
  const { t } = useTranslation("people");
  const person = useQuery({
    queryKey: ["people", "one", grant.user_id],
    queryFn: () => take(hub.GET("/api/v1/users/{id}", { params: { path: { id: grant.user_id } } })),
  });
  const who = person.data?.user.email ?? grant.user_id;
  const path = { id, user_id: grant.user_id, target_id: targetOf(grant) };
  return (
    <Table.Tr>
      <Table.Td>{person.data?.user.name ?? who}</Table.Td>
      <Table.Td>{grant.device_id === undefined ? <SiteName id={targetOf(grant)} /> : <DeviceName id={grant.device_id} />}</Table.Td>
      <Table.Td>{t(`roles.${grant.role}`)}</Table.Td>
      <Table.Td>
        <UndoableButton
          id={`grants/${path.user_id}/${path.target_id}`}
          queryKey={["people", "grants"]}
          label={t("take_back")}
          what={who}
          about={t("take_back_about")}
          send={(client) => take(client.DELETE("/api/v1/organizations/{id}/grants/{user_id}/{target_id}", { params: { path } }))}
        />
      </Table.Td>
    </Table.Tr>
  );
}

function DeviceName({ id }: { readonly id: string }) {
  const { data } = useQuery({
    queryKey: ["devices", "one", id],
    queryFn: () => take(hub.GET("/api/v1/devices/{id}", { params: { path: { id } } })),
  });
  return (
    <Anchor component={Link} to="/devices/$id" params={{ id: data?.device.uid ?? id } as never} size="sm">
      {data?.device.name ?? id}
    </Anchor>
  );
}

function SiteName({ id }: { readonly id: string }) {
  const { t } = useTranslation("people");
  const { data } = useQuery({
    queryKey: ["sites", "one", id],
    queryFn: () => take(hub.GET("/api/v1/sites/{id}", { params: { path: { id } } })),
  });
  return t("site_named", { name: data?.site.name ?? id });
}

interface Wanted extends Record<string, unknown> {
  user: string;
  kind: "device" | "site";
  target: string;
  role: (typeof DEVICE_ROLES)[number];
}

function MakeGrant({ organization: id }: { readonly organization: string }) {
  const { t } = useTranslation("people");
  const initial: Wanted = { user: "", kind: "device", target: "", role: "viewer" };
  return (
    <FormDialog
      label={t("grant")}
      initial={initial}
      onSend={async ({ user, kind, target, role }) => {
        const body = { user_id: user, role, ...(kind === "device" ? { device: target } : { site: target }) };
        await take(hub.POST("/api/v1/organizations/{id}/grants", { params: { path: { id } }, body }));
        await changed();
      }}
    >
      {(form) => <GrantFields form={form} organization={id} />}
    </FormDialog>
  );
}

function GrantFields({ form, organization: id }: { readonly form: UseFormReturnType<Wanted>; readonly organization: string }) {
  const { t } = useTranslation("people");
  const { kind } = form.values;
  const members = useQuery({
    queryKey: ["people", "members", id, "offered"],
    queryFn: () => take(hub.GET("/api/v1/organizations/{id}/members", { params: { path: { id } } })),
  });
  return (
    <>
      <Select
        label={t("member")}
        searchable
        required
        data={(members.data?.data ?? []).map(({ user_id: value, email: label }) => ({ value, label }))}
        {...form.getInputProps("user")}
      />
      <NativeSelect
        label={t("kind")}
        data={(["device", "site"] as const).map((value) => ({ value, label: t(value) }))}
        {...form.getInputProps("kind")}
        onChange={({ currentTarget }) => form.setValues({ kind: currentTarget.value === "site" ? "site" : "device", target: "" })}
      />
      {kind === "device" ? (
        <DeviceSelect
          label={t("device")}
          required
          value={form.values.target || undefined}
          onChange={(device) => form.setFieldValue("target", device?.id ?? "")}
        />
      ) : (
        <SiteSelect onChange={(target) => form.setFieldValue("target", target)} />
      )}
      <RoleField {...form.getInputProps("role")} value={form.values.role} roles={DEVICE_ROLES} />
    </>
  );
}

/** The hub searches: there may be more sites than a list holds. */
function SiteSelect({ onChange }: { readonly onChange: (target: string) => void }) {
  const { t } = useTranslation("people");
  const [search, setSearch] = useState("");
  const { data } = useQuery({
    queryKey: ["sites", "offered", search],
    queryFn: () => take(hub.GET("/api/v1/sites", { params: { query: { limit: OFFERED, ...(search === "" ? {} : { search }) } } })),
    placeholderData: keepPreviousData,
  });
  return (
    <Select
      label={t("site")}
      searchable
      required
      data={(data?.data ?? []).map(({ id: value, name: label }) => ({ value, label }))}
      onSearchChange={setSearch}
      onChange={(target) => onChange(target ?? "")}
    />
  );
}
