import { Button, Group, Modal, Stack, Text, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { makeOrganization } from "../hub/organizations.ts";
import { Failed } from "../parts/failed.tsx";

export function NewOrganization({ onClose }: { readonly onClose: () => void }) {
  const { t } = useTranslation();
  const [name, setName] = useState("");
  const make = useMutation({ mutationFn: makeOrganization });
  return (
    <Modal opened onClose={onClose} title={t("organization.new")} closeButtonProps={{ "aria-label": t("close") }}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          make.mutate(name.trim());
        }}
      >
        <Stack>
          <Text size="sm">{t("organization.new_about")}</Text>
          <TextInput
            label={t("organization.name")}
            required
            maxLength={120}
            data-autofocus
            value={name}
            onChange={({ currentTarget }) => setName(currentTarget.value)}
          />
          {make.isError && <Failed error={make.error} />}
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              {t("cancel")}
            </Button>
            <Button type="submit" loading={make.isPending || make.isSuccess} disabled={name.trim() === ""}>
              {t("organization.make")}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
