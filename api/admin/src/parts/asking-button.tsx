import { Button, Group, Modal, Stack } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { useMutation } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Failed } from "./failed.tsx";

interface AskingButtonProps {
  /** Of the button, and of the dialog. */
  readonly label: string;
  /** What it is, where a column of buttons has the same label. */
  readonly what: string;
  readonly onRemove: () => Promise<unknown>;
  /** What follows from it. */
  readonly children: ReactNode;
}

/** A button that asks first. */
export function AskingButton(props: AskingButtonProps) {
  const { t } = useTranslation();
  const { label, what } = props;
  const [isOpen, { open, close }] = useDisclosure(false);
  return (
    <>
      <Button size="compact-sm" variant="default" onClick={open} aria-label={`${label}: ${what}`}>
        {label}
      </Button>
      <Modal
        opened={isOpen}
        onClose={close}
        title={`${label}: ${what}`}
        closeButtonProps={{ "aria-label": t("close") }}
        attributes={{ header: { role: "presentation" } }}
      >
        <Question {...props} onClose={close} />
      </Modal>
    </>
  );
}

function Question({ label, onRemove, children, onClose }: AskingButtonProps & { readonly onClose: () => void }) {
  const { t } = useTranslation();
  const removal = useMutation({ mutationFn: onRemove, onSuccess: onClose });
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        removal.mutate();
      }}
    >
      <Stack>
        <div>{children}</div>
        {removal.isError && <Failed error={removal.error} />}
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            {t("cancel")}
          </Button>
          <Button type="submit" color="red" loading={removal.isPending}>
            {label}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
