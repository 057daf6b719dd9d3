import { Button, Code, Fieldset, Group, Select, SimpleGrid, Stack, Text } from "@mantine/core";
import { Plus, Trash2 } from "lucide-react";
import { useId } from "react";
import { useTranslation } from "react-i18next";
import { NodeField } from "./node-fields.tsx";
import { KINDS, newNode, type Node, type Role } from "./nodes.ts";

interface NodeEditorProps {
  readonly role: Role;
  readonly title: string;
  readonly node: Node;
  readonly onChange: (node: Node) => void;
  readonly onRemove?: (() => void) | undefined;
}

/** One trigger, condition or action; what the form does not know stands there as JSON. */
export function NodeEditor({ role, title, node, onChange, onRemove }: NodeEditorProps) {
  const { t } = useTranslation("definition");
  const known = KINDS[role][node.kind];
  return (
    <Fieldset legend={title} miw={0}>
      <Stack gap="sm">
        {known ? (
          <SimpleGrid cols={{ base: 1, sm: 2, lg: 3 }}>
            <Select
              label={t("field.kind")}
              required
              allowDeselect={false}
              data={Object.keys(KINDS[role]).map((kind) => ({ value: kind, label: t(`${role}.${kind}`) }))}
              value={node.kind}
              onChange={(kind) => kind !== null && kind !== node.kind && onChange(newNode(role, kind))}
            />
            {known.fields.map((field) => (
              <NodeField key={"name" in field ? field.name : field.as} field={field} node={node} onChange={onChange} />
            ))}
          </SimpleGrid>
        ) : (
          <>
            <Text size="sm">{t("only_json", { kind: node.kind })}</Text>
            <Code block style={{ whiteSpace: "pre-wrap", overflowWrap: "anywhere" }}>
              {JSON.stringify(node, null, 2)}
            </Code>
          </>
        )}
        {onRemove && (
          <Group justify="flex-end">
            <Button
              size="xs"
              variant="default"
              leftSection={<Trash2 size={14} aria-hidden />}
              onClick={onRemove}
              aria-label={t("take_out", { what: title })}
            >
              {t("shell:remove")}
            </Button>
          </Group>
        )}
      </Stack>
    </Fieldset>
  );
}

interface NodeListProps {
  readonly role: "trigger" | "action";
  readonly nodes: readonly Node[];
  readonly onChange: (nodes: Node[]) => void;
}

const FIRST = { trigger: "telemetry", action: "command" } as const;

/** At least one. */
export function NodeList({ role, nodes, onChange }: NodeListProps) {
  const { t } = useTranslation("definition");
  const id = useId();
  return (
    <Stack gap="sm">
      {nodes.map((node, index) => (
        <NodeEditor
          // They have no names of their own, and none moves.
          key={`${id}${index}`}
          role={role}
          title={t(`one_${role}`, { number: index + 1 })}
          node={node}
          onChange={(changed) => onChange(nodes.with(index, changed))}
          onRemove={nodes.length > 1 ? () => onChange(nodes.toSpliced(index, 1)) : undefined}
        />
      ))}
      <Group>
        <Button
          size="xs"
          variant="default"
          leftSection={<Plus size={14} aria-hidden />}
          onClick={() => onChange([...nodes, newNode(role, FIRST[role])])}
        >
          {t(`add_${role}`)}
        </Button>
      </Group>
    </Stack>
  );
}
