import { Button, Group, Modal, Stack, Text, TextInput } from "@mantine/core";
import { type ReactNode, useState } from "react";
import { useTranslation } from "react-i18next";
import { Failed } from "./failed.tsx";

interface ConfirmRemovalProps {
  readonly name: string;
  readonly isOpen: boolean;
  readonly isPending: boolean;
  readonly error: unknown;
  readonly onClose: () => void;
  readonly onRemove: () => void;
  /** What goes with it. */
  readonly children: ReactNode;
}

/** Nobody removes by a slip what cannot be brought back: its name is typed first. */
export function RemovalDialog({ name, isOpen, isPending, error, onClose, onRemove, children }: ConfirmRemovalProps) {
  const { t } = useTranslation();
  const [typed, setTyped] = useState("");
  return (
    <Modal opened={isOpen} onClose={onClose} title={t("removal.title", { name })} closeButtonProps={{ "aria-label": t("close") }}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (typed === name) onRemove();
        }}
      >
        <Stack>
          <Text size="sm" component="div">
            {children}
          </Text>
          <TextInput
            label={t("removal.type", { name })}
            value={typed}
            onChange={({ currentTarget }) => setTyped(currentTarget.value)}
            autoComplete="off"
            data-autofocus
          />
          {error !== null && error !== undefined && <Failed error={error} />}
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              {t("cancel")}
            </Button>
            <Button type="submit" color="red" disabled={typed !== name} loading={isPending}>
              {t("remove")}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
