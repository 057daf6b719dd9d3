import { Button, Group, Modal, Stack, TextInput } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { useMutation } from "@tanstack/react-query";
import { Trash2 } from "lucide-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Failed } from "./failed.tsx";

interface ConfirmRemovalProps {
  readonly name: string;
  readonly remove: () => Promise<unknown>;
  readonly onRemoved: () => void;
}

/** What is gone for good is removed by whoever types its name. */
export function ConfirmRemoval({ name, remove, onRemoved }: ConfirmRemovalProps) {
  const { t } = useTranslation();
  const [isOpen, { open, close }] = useDisclosure(false);
  const [typed, setTyped] = useState("");
  const removal = useMutation({
    mutationFn: remove,
    onSuccess() {
      close();
      onRemoved();
    },
  });
  const begin = (): void => {
    setTyped("");
    removal.reset();
    open();
  };
  return (
    <>
      <Button variant="default" leftSection={<Trash2 size={16} aria-hidden />} onClick={begin} aria-label={t("removal.title", { name })}>
        {t("remove")}
      </Button>
      <Modal opened={isOpen} onClose={close} title={t("removal.title", { name })} closeButtonProps={{ "aria-label": t("close") }}>
        <form
          onSubmit={(event) => {
            event.preventDefault();
            if (typed.trim() === name) removal.mutate();
          }}
        >
          <Stack>
            {removal.isError && <Failed error={removal.error} />}
            <TextInput
              label={t("removal.type", { name })}
              value={typed}
              onChange={({ currentTarget }) => setTyped(currentTarget.value)}
              autoComplete="off"
              data-autofocus
            />
            <Group justify="flex-end">
              <Button variant="default" onClick={close}>
                {t("cancel")}
              </Button>
              <Button type="submit" color="red" disabled={typed.trim() !== name} loading={removal.isPending}>
                {t("remove")}
              </Button>
            </Group>
          </Stack>
        </form>
      </Modal>
    </>
  );
}
