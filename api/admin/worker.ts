import type { Plugin, Rolldown } from "vite";

const ENTRY = "index";
const NAME = "worker";
const PUBLIC = ["/icon.svg", "/manifest.webmanifest", "/theme.css", "/theme.js"];
const SHELL_TEXTS = /\/src\/locales\/\w+\.json$/;

/** Where the service worker's file is: at the root, since it serves no more than what is below it. */
export const nameOf = (chunk: { readonly name: string }): string => (chunk.name === NAME ? "sw.js" : "assets/[name]-[hash].js");

/** Tells the service worker (src/worker.ts) which files the first page takes. */
export function worker(): Plugin {
  return {
    name: "worker",
    apply: "build",
    enforce: "post",
    generateBundle(_options, bundle) {
      const chunks = Object.values(bundle).filter((one) => one.type === "chunk");
      const entry = chunks.find(({ isEntry, name }) => isEntry && name === ENTRY);
      const script = chunks.find(({ isEntry, name }) => isEntry && name === NAME);
      if (!entry || !script || script.imports.length > 0) this.error("the service worker is to be one file, beside the console's own");
      const files = new Set([entry.fileName]);
      const texts = chunks.filter(({ facadeModuleId }) => SHELL_TEXTS.test(facadeModuleId ?? ""));
      for (const chunk of [entry, ...texts]) addWithImports(files, chunk, bundle);
      const shell = [...[...files].map((file) => `/${file}`), ...PUBLIC];
      script.code = `const SHELL_FILES = ${JSON.stringify(shell)};\n${script.code}`;
    },
  };
}

function addWithImports(files: Set<string>, chunk: Rolldown.OutputChunk, bundle: Rolldown.OutputBundle): void {
  files.add(chunk.fileName);
  for (const style of chunk.viteMetadata?.importedCss ?? []) files.add(style);
  for (const name of chunk.imports) {
    const imported = bundle[name];
    if (imported?.type === "chunk" && !files.has(name)) addWithImports(files, imported, bundle);
  }
}
