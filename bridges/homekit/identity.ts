import { randomBytes, randomInt } from "node:crypto";

/** What a bridge is known by to controllers: another one is another bridge, that has to be paired anew. */
export interface Identity {
  /** In the form of a MAC address. */
  readonly username: string;
  /** 123-45-678 */
  readonly pin: string;
  /** Four letters or digits that tell bridges apart whose QR code is scanned. */
  readonly setupId: string;
}

/** HomeKit refuses these [HAP 4.2.1.2]. */
const TRIVIAL = /^(\d)\1{7}$|^12345678$|^87654321$/;
const SETUP_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const IS_BRIDGE = 2;
const IS_IP = 2;

export function newIdentity(): Identity {
  const bytes = randomBytes(6);
  // An address that nobody gave to hardware, of one station.
  bytes[0] = ((bytes[0] as number) & 0xfc) | 0x02;
  return {
    username: [...bytes].map((byte) => byte.toString(16).padStart(2, "0").toUpperCase()).join(":"),
    pin: newPin(),
    setupId: Array.from({ length: 4 }, () => SETUP_LETTERS[randomInt(SETUP_LETTERS.length)]).join(""),
  };
}

/** What the QR code of a bridge says: category, kind of transport and PIN as one number to the base of 36. */
export function setupUriOf({ pin, setupId }: Pick<Identity, "pin" | "setupId">): string {
  const code = BigInt(pin.replaceAll("-", ""));
  const payload = (BigInt(IS_BRIDGE) << 31n) | (BigInt(IS_IP) << 27n) | code;
  return `X-HM://${payload.toString(36).toUpperCase().padStart(9, "0")}${setupId}`;
}

function newPin(): string {
  for (;;) {
    const digits = String(randomInt(100_000_000)).padStart(8, "0");
    if (!TRIVIAL.test(digits)) return `${digits.slice(0, 3)}-${digits.slice(3, 5)}-${digits.slice(5)}`;
  }
}
