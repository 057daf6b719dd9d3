import fc from "fast-check";

/** Values of readings, with those among them that a file could take for something else. */
export const readingValues = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0),
  fc.boolean(),
  fc.string({ unit: "grapheme", maxLength: 40 }),
  fc.constantFrom(
    "",
    "'",
    "''",
    "'=1",
    "=1",
    "-5",
    "12",
    "'12",
    "1e5",
    "true",
    "TRUE",
    "'true",
    "'hello",
    'a "b"',
    "a,b",
    "a\r\nb",
    "\n",
    "\r",
    "+x",
    "@",
    ".5",
    "-",
    "0x10",
  ),
);
