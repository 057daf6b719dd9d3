import { Checkbox, Table } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useWindowVirtualizer, type VirtualItem } from "@tanstack/react-virtual";
import { Fragment, memo, useEffect, useLayoutEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import { PresenceBadge } from "../../parts/presence.tsx";
import { TextLink } from "../../parts/text-link.tsx";
import { WideTable } from "../../parts/wide-table.tsx";
import type { Chosen, Device } from "./chosen.ts";
import { rooms } from "../../hub/rooms.ts";

const ROW_PX = 38;
/** Beyond the window, on either side: what Tab goes to next is there already. */
const OVERSCAN = 15;
/** Rows before the end at which the next ones are asked for. */
const NEAR_END = 40;
const COLUMNS = 7;

interface DeviceTableProps {
  readonly devices: readonly Device[];
  readonly chosen: Chosen;
  /** There are no others that match. */
  readonly isAll: boolean;
  readonly onNearEnd: () => void;
}

/** Only the rows about the window are in the document; assistive technology is told how many there are and which ones these are. */
export function DeviceTable({ devices, chosen, isAll, onNearEnd }: DeviceTableProps) {
  const { t } = useTranslation("devices");
  const body = useRef<HTMLTableSectionElement>(null);
  const offset = useOffset(body);
  const virtual = useWindowVirtualizer({
    count: devices.length,
    estimateSize: () => ROW_PX,
    overscan: OVERSCAN,
    scrollMargin: offset,
    getItemKey: (index) => devices[index]?.id ?? index,
  });
  const items = virtual.getVirtualItems();
  const lastShown = items.at(-1)?.index ?? 0;
  useEffect(() => {
    if (lastShown >= devices.length - NEAR_END) onNearEnd();
  });
  const places = useQuery(rooms).data?.data;
  return (
    <WideTable minWidth={720} label={t("table")}>
      <Table highlightOnHover aria-rowcount={isAll ? devices.length + 1 : -1}>
        <Head chosen={chosen} />
        <Table.Tbody ref={body}>
          {items.map((item, at) => {
            const device = devices[item.index];
            return (
              device && (
                <Fragment key={item.key}>
                  <Gap px={item.start - (items[at - 1]?.end ?? offset)} />
                  <Row
                    device={device}
                    index={item.index}
                    measure={virtual.measureElement}
                    room={places?.find(({ id }) => id === device.room_id)?.name}
                    isChosen={chosen.has(device)}
                    onToggle={chosen.toggle}
                  />
                </Fragment>
              )
            );
          })}
          <Gap px={virtual.getTotalSize() + offset - endOf(items, offset)} />
        </Table.Tbody>
      </Table>
    </WideTable>
  );
}

const endOf = (items: readonly VirtualItem[], offset: number): number => items.at(-1)?.end ?? offset;

/** px from the top of the page. */
function useOffset(element: React.RefObject<HTMLElement | null>): number {
  const [offset, setOffset] = useState(0);
  // What stands above may have become higher or lower with any change.
  useLayoutEffect(() => {
    if (element.current) setOffset(Math.round(element.current.getBoundingClientRect().top + window.scrollY));
  });
  return offset;
}

/** In place of rows that are not in the document. */
function Gap({ px }: { readonly px: number }) {
  if (px <= 0) return null;
  return (
    <tr aria-hidden>
      <td colSpan={COLUMNS} style={{ height: px, padding: 0 }} />
    </tr>
  );
}

function Head({ chosen }: { readonly chosen: Chosen }) {
  const { t } = useTranslation("devices");
  return (
    <Table.Thead>
      <Table.Tr aria-rowindex={1}>
        <Table.Th w={44}>
          <Checkbox
            aria-label={t("choose_all")}
            checked={chosen.isAll}
            indeterminate={chosen.devices.length > 0 && !chosen.isAll}
            onChange={chosen.toggleAll}
          />
        </Table.Th>
        {(["name", "status", "class", "room", "firmware", "seen"] as const).map((column) => (
          <Table.Th key={column}>{t(column)}</Table.Th>
        ))}
      </Table.Tr>
    </Table.Thead>
  );
}

interface RowProps {
  readonly device: Device;
  readonly index: number;
  readonly measure: (row: HTMLTableRowElement | null) => void;
  readonly room: string | undefined;
  readonly isChosen: boolean;
  readonly onToggle: (device: Device) => void;
}

const Row = memo(({ device, index, measure, room, isChosen, onToggle }: RowProps) => {
  const { t } = useTranslation("devices");
  const formats = useFormats();
  return (
    <Table.Tr ref={measure} data-index={index} aria-rowindex={index + 2}>
      <Table.Td>
        <Checkbox aria-label={t("choose", { name: device.name })} checked={isChosen} onChange={() => onToggle(device)} />
      </Table.Td>
      <Table.Td>
        <TextLink to="/devices/$id" params={{ id: device.uid }} size="sm">
          {device.name}
        </TextLink>
      </Table.Td>
      <Table.Td>
        <PresenceBadge presence={device.connection_status} />
      </Table.Td>
      <Table.Td>{t(`shell:device_class.${device.device_class}`)}</Table.Td>
      <Table.Td>{room}</Table.Td>
      <Table.Td>{device.firmware_version}</Table.Td>
      <Table.Td>{device.last_seen_at ? formats.ago(device.last_seen_at) : ""}</Table.Td>
    </Table.Tr>
  );
});
