import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";
import { compressed } from "./compressed.ts";
import { nameOf, worker } from "./worker.ts";

/** `npx vite` in this folder serves it with a hub behind it at HEXA_HTTP_PORT, for work on the console itself. */
// oxlint-disable-next-line import/no-default-export -- vite wants it so
export default defineConfig({
  root: import.meta.dirname,
  plugins: [react(), worker(), compressed()],
  // What mqtt-packet takes from Node, as packages; of bl it takes the list alone, and not the stream.
  resolve: { alias: { bl: "bl/BufferList.js", buffer: "buffer/", events: "events/" } },
  build: {
    outDir: "dist",
    emptyOutDir: true,
    target: "es2023",
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 400,
    rolldownOptions: {
      input: { index: "index.html", worker: "src/worker.ts" },
      output: { entryFileNames: nameOf },
      // How long its parts take is of no use to whoever starts the hub.
      checks: { pluginTimings: false },
    },
  },
  server: {
    proxy: Object.fromEntries(["/api", "/health", "/mqtt", "/docs", "/openapi.json"].map((path) => [path, { target: hubUrl(), ws: true }])),
  },
});

function hubUrl(): string {
  // oxlint-disable-next-line node/no-process-env -- where the hub is that it is tried with
  return `http://127.0.0.1:${process.env["HEXA_HTTP_PORT"] ?? "8080"}`;
}
