import { Button, Group, Stack, Text, TextInput } from "@mantine/core";
import { modals } from "@mantine/modals";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Failed } from "./failed.tsx";

interface Removal {
  readonly name: string;
  /** What goes with it. */
  readonly about: string;
  readonly onConfirm: () => Promise<unknown>;
}

/** Asks for the name of what is to go for good. */
export function useAskRemoval(): (removal: Removal) => void {
  const { t } = useTranslation();
  return (removal) => {
    const id = modals.open({
      title: t("removal.title", { name: removal.name }),
      closeButtonProps: { "aria-label": t("close") },
      children: <TypedName {...removal} onDone={() => modals.close(id)} />,
    });
  };
}

function TypedName({ name, about, onConfirm, onDone }: Removal & { readonly onDone: () => void }) {
  const { t } = useTranslation();
  const [typed, setTyped] = useState("");
  const [error, setError] = useState<unknown>();
  const [isPending, setPending] = useState(false);
  const confirm = async (): Promise<void> => {
    setPending(true);
    try {
      await onConfirm();
      onDone();
    } catch (refusal) {
      setError(refusal);
      setPending(false);
    }
  };
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (typed === name) void confirm();
      }}
    >
      <Stack>
        <Text size="sm">{about}</Text>
        {error !== undefined && <Failed error={error} />}
        <TextInput
          label={t("removal.type", { name })}
          data-autofocus
          autoComplete="off"
          value={typed}
          onChange={({ currentTarget }) => setTyped(currentTarget.value)}
        />
        <Group justify="flex-end">
          <Button variant="default" onClick={onDone}>
            {t("cancel")}
          </Button>
          <Button type="submit" color="red" disabled={typed !== name} loading={isPending}>
            {t("remove")}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
