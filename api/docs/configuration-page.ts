import { settingsReference } from "../../core/setting-names.ts";
import { table } from "./markdown.ts";

export function configurationPage(): string {
  const rows = settingsReference().map((setting) => [
    `\`${setting.name}\`${setting.isSecret ? " (secret)" : ""}`,
    setting.default === undefined ? "" : `\`${setting.default}\``,
    setting.range,
    setting.description,
  ]);
  return `# Settings

Generated from core/settings.ts by \`npm run docs\`.

The hub reads its settings from the environment, once, at its start. An empty variable counts as not set. A secret may
be given as the path of a file instead, in \`<NAME>_FILE\`; one line break at its end is cut. A name that begins with \`HEXA_\`
and is none of these is an error, as is a value out of range; all problems are reported at once and the hub ends with
code 3. \`npx hexahub config check\` does the same without starting, \`npx hexahub config print\` shows what is in force.

${table(["name", "default", "range", "what it does"], rows)}

\`OPENAI_API_KEY\` and \`BACKUP_*\` belong to later releases. This one refuses to
start with them, rather than to let anybody believe that they do something.
`;
}

export function environmentExample(): string {
  const blocks = settingsReference().map(({ name, default: fallback, range, description, isSecret }) => {
    const notes = [description, range === "" ? "" : `Range: ${range}.`, isSecret ? `Or ${name}_FILE with the path of a file.` : ""].filter(
      (note) => note !== "",
    );
    return `${notes.map((note) => `# ${note}`).join("\n")}\n# ${name}=${fallback ?? ""}`;
  });
  return `# Generated from core/settings.ts by \`npm run docs\`. For docker compose: copy it to .env and take the # away where
# you change something. \`npm start\` reads the environment and no file.\n\n${blocks.join("\n\n")}\n`;
}
