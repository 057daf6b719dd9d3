import { useTranslation } from "react-i18next";
import { encode } from "uqr";

const CELL = 4;

/** Black on white whatever the theme: cameras want it so. */
export function QrCode({ value }: { readonly value: string }) {
  const { t } = useTranslation();
  const { data, size } = encode(value, { ecc: "M", border: 2 });
  const path = data.flatMap((row, y) => row.flatMap((isDark, x) => (isDark ? [`M${x} ${y}h1v1h-1z`] : []))).join("");
  return (
    <svg
      width={size * CELL}
      height={size * CELL}
      viewBox={`0 0 ${size} ${size}`}
      role="img"
      aria-label={t("qr")}
      shapeRendering="crispEdges"
    >
      <rect width={size} height={size} fill="#fff" />
      <path d={path} fill="#000" />
    </svg>
  );
}
