import { Badge, Button, Group, Text, UnstyledButton } from "@mantine/core";
import { ChevronDown, ChevronRight } from "lucide-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { sorted, type TopicNode } from "./tree.ts";
import classes from "./topic-tree.module.css";

interface TreeProps {
  readonly node: TopicNode;
  readonly depth: number;
  /** All of it, but what was folded by hand. */
  readonly isOpen: boolean;
  /** Levels that are not as they are at first. */
  readonly toggled: ReadonlySet<string>;
  readonly onToggle: (path: string) => void;
  readonly selected: string | undefined;
  readonly onSelect: (topic: string) => void;
}

const OPEN_DEPTH = 1;
const MOST_SHOWN = 200;

/** What is folded is not drawn. */
export function TopicTree({ node, depth, ...rest }: TreeProps) {
  const { t } = useTranslation("mqtt");
  const [shown, setShown] = useState(MOST_SHOWN);
  const children = sorted(node);
  return (
    <ul className={classes["level"]}>
      {children.slice(0, shown).map((child) => (
        <li key={child.name}>
          <Row node={child} depth={depth} {...rest} />
        </li>
      ))}
      {children.length > shown && (
        <li>
          <Button size="compact-xs" variant="default" onClick={() => setShown(shown + MOST_SHOWN)}>
            {t("shell:more")}
          </Button>
        </li>
      )}
    </ul>
  );
}

function Row({ node, depth, ...rest }: TreeProps) {
  const { toggled, onToggle, selected, onSelect } = rest;
  const { t } = useTranslation("mqtt");
  const isOpen = toggled.has(node.path) !== (rest.isOpen || depth < OPEN_DEPTH);
  const hasMore = node.children.size > 0;
  const Chevron = isOpen ? ChevronDown : ChevronRight;
  return (
    <>
      <Group gap={4} wrap="nowrap">
        {hasMore ? (
          <UnstyledButton
            className={classes["fold"]}
            aria-expanded={isOpen}
            aria-label={t("shell:fold", { what: node.path })}
            onClick={() => onToggle(node.path)}
          >
            <Chevron size={16} aria-hidden />
          </UnstyledButton>
        ) : (
          <span className={classes["fold"]} />
        )}
        <UnstyledButton
          className={classes["row"]}
          aria-pressed={node.entry ? node.path === selected : undefined}
          onClick={() => (node.entry ? onSelect(node.path) : onToggle(node.path))}
        >
          <Text size="sm" fw={node.path === selected ? 700 : 400} component="span" className={classes["name"]}>
            {node.name === "" ? "∅" : node.name}
          </Text>
          {node.entry ? (
            <Text size="sm" component="span" c="dimmed" truncate className={classes["value"]}>
              {node.entry.text ?? t("binary", { count: node.entry.bytes })}
            </Text>
          ) : (
            <Badge size="xs" variant="outline" color="gray">
              {node.topics}
            </Badge>
          )}
        </UnstyledButton>
      </Group>
      {hasMore && isOpen && <TopicTree node={node} depth={depth + 1} {...rest} />}
    </>
  );
}
