import { Button, Card, Stack, Text, TextInput, Title } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { hub, take } from "../../hub/client.ts";
import { queries } from "../../hub/queries.ts";
import { Failed } from "../../parts/failed.tsx";

const SHORTEST = 12;
const LONGEST = 20;

/** For a device that has enrolled itself, or that somebody has released. */
export function Claim() {
  const { t } = useTranslation("add-device");
  const navigate = useNavigate();
  const [code, setCode] = useState("");
  const claiming = useMutation({
    mutationFn: () => take(hub.POST("/api/v1/devices/claim", { body: { claim_code: code.trim() } })),
    async onSuccess({ device: { uid: id } }) {
      await queries.invalidateQueries({ queryKey: ["devices"] });
      await navigate({ to: "/devices/$id", params: { id } });
    },
  });
  return (
    <Card withBorder maw={480}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          claiming.mutate();
        }}
      >
        <Stack>
          <Title order={2} size="h4">
            {t("claim")}
          </Title>
          <Text size="sm">{t("claim_about")}</Text>
          {claiming.isError && <Failed error={claiming.error} />}
          <TextInput
            label={t("claim_code")}
            placeholder="K7QX-M4TD-92ZB"
            required
            minLength={SHORTEST}
            maxLength={LONGEST}
            autoComplete="off"
            value={code}
            onChange={({ currentTarget }) => setCode(currentTarget.value)}
          />
          <Button type="submit" variant="default" loading={claiming.isPending}>
            {t("claim_it")}
          </Button>
        </Stack>
      </form>
    </Card>
  );
}
