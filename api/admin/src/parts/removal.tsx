import { Button, type ButtonProps, Group, Modal, Stack, Text, TextInput } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { type MutationKey, useMutation } from "@tanstack/react-query";
import { Trash2 } from "lucide-react";
import { type ReactNode, useState } from "react";
import { useTranslation } from "react-i18next";
import { Failed } from "./failed.tsx";

interface RemovalProps {
  /** Has to be typed: nobody removes by a slip what cannot be brought back. */
  readonly name: string;
  /** Of the button, where it is no plain "Remove". */
  readonly label?: string;
  readonly button?: ButtonProps;
  readonly mutationKey?: MutationKey;
  readonly remove: () => Promise<unknown>;
  /** The dialog stays until that is done too. */
  readonly onRemoved?: () => unknown;
  /** What goes with it. */
  readonly children?: ReactNode;
}

/** Removes for good whose name is typed. */
export function Removal(props: RemovalProps) {
  const { name, label, button } = props;
  const { t } = useTranslation();
  const [isOpen, { open, close }] = useDisclosure(false);
  const title = label === undefined ? t("removal.title", { name }) : `${label}: ${name}`;
  return (
    <>
      <Button
        variant="default"
        leftSection={label === undefined && <Trash2 size={16} aria-hidden />}
        {...button}
        onClick={open}
        aria-label={title}
      >
        {label ?? t("remove")}
      </Button>
      <Modal opened={isOpen} onClose={close} title={title} closeButtonProps={{ "aria-label": t("close") }}>
        <Question {...props} onClose={close} />
      </Modal>
    </>
  );
}

function Question({ name, label, mutationKey, remove, onRemoved, children, onClose }: RemovalProps & { readonly onClose: () => void }) {
  const { t } = useTranslation();
  const [typed, setTyped] = useState("");
  const isNamed = typed.trim() === name.trim();
  const removal = useMutation({
    ...(mutationKey && { mutationKey }),
    mutationFn: remove,
    async onSuccess() {
      await onRemoved?.();
      onClose();
    },
  });
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (isNamed) removal.mutate();
      }}
    >
      <Stack>
        {children !== undefined && (
          <Text size="sm" component="div">
            {children}
          </Text>
        )}
        <TextInput
          label={t("removal.type", { name })}
          value={typed}
          onChange={({ currentTarget }) => setTyped(currentTarget.value)}
          autoComplete="off"
          data-autofocus
        />
        {removal.isError && <Failed error={removal.error} />}
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            {t("cancel")}
          </Button>
          <Button type="submit" color="red" disabled={!isNamed} loading={removal.isPending}>
            {label ?? t("remove")}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
