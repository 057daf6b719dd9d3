import { Button, type ButtonProps, Group, Modal, Stack } from "@mantine/core";
import { useForm, type UseFormReturnType } from "@mantine/form";
import { useDisclosure } from "@mantine/hooks";
import { useMutation } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { useTranslation } from "react-i18next";
import { Failed } from "./failed.tsx";

interface FormDialogProps<V extends Record<string, unknown>, R> {
  /** Of the button, and of the dialog. */
  readonly label: string;
  /** What it is about, where a column of buttons has the same label. */
  readonly what?: string;
  readonly button?: ButtonProps;
  readonly initial: V;
  readonly onSend: (values: V) => Promise<R>;
  /** What is shown once it is done, instead of nothing: a secret that is shown once, for example. */
  readonly result?: (answer: R) => ReactNode;
  readonly children: (form: UseFormReturnType<V>) => ReactNode;
}

/** A button that opens a form; the form stays until the hub took it. */
export function FormDialog<V extends Record<string, unknown>, R>(props: FormDialogProps<V, R>) {
  const { label, what, button } = props;
  const { t } = useTranslation();
  const [isOpen, { open, close }] = useDisclosure(false);
  const title = what === undefined ? label : `${label}: ${what}`;
  return (
    <>
      <Button {...button} onClick={open} aria-label={title}>
        {label}
      </Button>
      <Modal
        opened={isOpen}
        onClose={close}
        title={title}
        size="lg"
        closeButtonProps={{ "aria-label": t("close") }}
        attributes={{ header: { role: "presentation" } }}
      >
        <Form {...props} onClose={close} />
      </Modal>
    </>
  );
}

function Form<V extends Record<string, unknown>, R>(props: FormDialogProps<V, R> & { readonly onClose: () => void }) {
  const { initial, onSend, result, children, onClose } = props;
  const { t } = useTranslation();
  const [answer, setAnswer] = useState<{ readonly of: R }>();
  const form = useForm<V>({ initialValues: initial });
  const sending = useMutation({ mutationFn: onSend, onSuccess: (of) => (result ? setAnswer({ of }) : onClose()) });
  if (answer && result)
    return (
      <Stack>
        {result(answer.of)}
        <Group justify="flex-end">
          <Button onClick={onClose}>{t("close")}</Button>
        </Group>
      </Stack>
    );
  return (
    <form onSubmit={form.onSubmit((values) => sending.mutate(values))}>
      <Stack>
        {children(form)}
        {sending.isError && <Failed error={sending.error} />}
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            {t("cancel")}
          </Button>
          <Button type="submit" loading={sending.isPending}>
            {t("save")}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
