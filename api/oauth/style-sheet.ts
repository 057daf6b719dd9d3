/** Of the pages that the hub itself draws, without a script. */
export const STYLE_SHEET = `:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { margin: 0; overflow-wrap: anywhere; }
main { max-width: 28rem; margin: 10vh auto; padding: 0 1rem; }
label { display: block; margin: 1rem 0; }
input { display: block; box-sizing: border-box; width: 100%; padding: 0.5rem; font: inherit; }
input[type="radio"] { display: inline; width: auto; }
[role="alert"] { border-left: 0.25rem solid; padding-left: 0.75rem; }
button { padding: 0.5rem 1rem; font: inherit; }
`;
