import { Card, Group, List, Stack, Text, TextInput, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { useZone } from "../../formats.ts";
import { hub, take } from "../../hub/client.ts";
import { organizations } from "../../hub/organizations.ts";
import { queries } from "../../hub/queries.ts";
import type { components } from "../../hub/schema.d.ts";
import { Allowed } from "../../parts/allowed.tsx";
import { Asked } from "../../parts/asked.tsx";
import { Empty } from "../../parts/empty.tsx";
import { FormDialog } from "../../parts/form-dialog.tsx";
import { Paged, usePages } from "../../parts/paged.tsx";
import { Removal } from "../../parts/removal.tsx";

type Site = components["schemas"]["Site"];
type Room = components["schemas"]["Room"];
const SMALL = { size: "compact-sm", variant: "default" } as const;

/** The organisation, its sites, and their rooms. */
export function Places() {
  const { t } = useTranslation("settings");
  const query = usePages({ queryKey: ["sites"], ask: (cursor) => take(hub.GET("/api/v1/sites", { params: { query: cursor } })) });
  const here = useZone();
  return (
    <Stack>
      <Organization />
      <Allowed need="place.manage">
        <div>
          <SiteDialog
            label={t("add_site")}
            initial={{ name: "", zone: here }}
            onSend={({ name, zone }) => take(hub.POST("/api/v1/sites", { body: { name, time_zone: zone } }))}
          />
        </div>
      </Allowed>
      <Paged query={query} empty={<Empty title={t("no_sites")}>{t("no_sites_about")}</Empty>}>
        {(sites) => (
          <Stack>
            {sites.map((site) => (
              <SiteCard key={site.id} site={site} />
            ))}
          </Stack>
        )}
      </Paged>
    </Stack>
  );
}

function Organization() {
  const { t } = useTranslation("settings");
  const query = useQuery(organizations);
  return (
    <Asked query={query}>
      {({ data }) => {
        const current = data.find((one) => one.is_current);
        if (!current) return null;
        return (
          <Group>
            <Text>{t("organization", { name: current.name })}</Text>
            <Allowed need="organization.manage">
              <FormDialog
                label={t("rename")}
                what={current.name}
                button={SMALL}
                initial={{ name: current.name }}
                onSend={async ({ name }) => {
                  await take(hub.PATCH("/api/v1/organizations/{id}", { params: { path: { id: current.id } }, body: { name } }));
                  await queries.invalidateQueries({ queryKey: ["organizations"] });
                }}
              >
                {(form) => <TextInput label={t("name")} required maxLength={120} {...form.getInputProps("name")} />}
              </FormDialog>
            </Allowed>
          </Group>
        );
      }}
    </Asked>
  );
}

function SiteCard({ site }: { readonly site: Site }) {
  const { t } = useTranslation("settings");
  const path = { id: site.id };
  return (
    <Card withBorder>
      <Group justify="space-between" mb="sm">
        <div>
          <Title order={2} size="h4" style={{ overflowWrap: "anywhere" }}>
            {site.name}
          </Title>
          <Text size="sm" c="dimmed">
            {site.time_zone}
          </Text>
        </div>
        <Allowed need="place.manage">
          <Group gap="xs">
            <SiteDialog
              label={t("change")}
              what={site.name}
              initial={{ name: site.name, zone: site.time_zone }}
              onSend={({ name, zone }) => take(hub.PATCH("/api/v1/sites/{id}", { params: { path }, body: { name, time_zone: zone } }))}
            />
            <Removal
              name={site.name}
              button={{ size: "compact-sm" }}
              remove={() => take(hub.DELETE("/api/v1/sites/{id}", { params: { path } }))}
              onRemoved={() => queries.invalidateQueries({ queryKey: ["sites"] })}
            >
              {t("remove_site_about")}
            </Removal>
          </Group>
        </Allowed>
      </Group>
      <Rooms site={site} />
    </Card>
  );
}

interface SiteDialogProps {
  readonly label: string;
  readonly what?: string;
  readonly initial: { name: string; zone: string };
  readonly onSend: (values: { name: string; zone: string }) => Promise<unknown>;
}

function SiteDialog({ label, what, initial, onSend }: SiteDialogProps) {
  const { t } = useTranslation("settings");
  return (
    <FormDialog
      label={label}
      {...(what === undefined ? {} : { what, button: SMALL })}
      initial={initial}
      onSend={async (values: SiteDialogProps["initial"]) => {
        await onSend(values);
        await queries.invalidateQueries({ queryKey: ["sites"] });
      }}
    >
      {(form) => (
        <>
          <TextInput label={t("name")} required maxLength={120} {...form.getInputProps("name")} />
          <TextInput label={t("zone")} description={t("zone_about")} required maxLength={64} {...form.getInputProps("zone")} />
        </>
      )}
    </FormDialog>
  );
}

const roomsChanged = () => queries.invalidateQueries({ queryKey: ["rooms"] });

function Rooms({ site }: { readonly site: Site }) {
  const { t } = useTranslation("settings");
  const { id: siteId } = site;
  const query = usePages({
    queryKey: ["rooms", siteId],
    ask: (cursor) => take(hub.GET("/api/v1/rooms", { params: { query: { ...cursor, site_id: siteId } } })),
  });
  return (
    <Stack gap="sm">
      <Paged query={query} empty={<Text size="sm">{t("no_rooms")}</Text>} isInner>
        {(rooms) => (
          <List listStyleType="none" spacing="xs" aria-label={t("rooms_of", { name: site.name })}>
            {rooms.map((room) => (
              <RoomItem key={room.id} room={room} />
            ))}
          </List>
        )}
      </Paged>
      <Allowed need="place.manage">
        <div>
          <FormDialog
            label={t("add_room")}
            what={site.name}
            button={SMALL}
            initial={{ name: "" }}
            onSend={async ({ name }) => {
              await take(hub.POST("/api/v1/rooms", { body: { name, site_id: siteId } }));
              await roomsChanged();
            }}
          >
            {(form) => <TextInput label={t("name")} required maxLength={120} {...form.getInputProps("name")} />}
          </FormDialog>
        </div>
      </Allowed>
    </Stack>
  );
}

function RoomItem({ room }: { readonly room: Room }) {
  const { t } = useTranslation("settings");
  const path = { id: room.id };
  return (
    <List.Item>
      <Group gap="xs">
        <Text style={{ overflowWrap: "anywhere" }}>{room.name}</Text>
        <Allowed need="place.manage">
          <FormDialog
            label={t("rename")}
            what={room.name}
            button={SMALL}
            initial={{ name: room.name }}
            onSend={async ({ name }) => {
              await take(hub.PATCH("/api/v1/rooms/{id}", { params: { path }, body: { name } }));
              await roomsChanged();
            }}
          >
            {(form) => <TextInput label={t("name")} required maxLength={120} {...form.getInputProps("name")} />}
          </FormDialog>
          <Removal
            name={room.name}
            button={{ size: "compact-sm" }}
            remove={() => take(hub.DELETE("/api/v1/rooms/{id}", { params: { path } }))}
            onRemoved={roomsChanged}
          >
            {t("remove_room_about")}
          </Removal>
        </Allowed>
      </Group>
    </List.Item>
  );
}
