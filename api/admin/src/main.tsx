import "@mantine/core/styles.css";
import "@mantine/notifications/styles.css";
import "@mantine/spotlight/styles.css";
import "./shell/shell.css";
import { createTheme, MantineProvider, Modal } from "@mantine/core";
import { ModalsProvider } from "@mantine/modals";
import { Notifications } from "@mantine/notifications";
import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode, Suspense } from "react";
import { createRoot } from "react-dom/client";
import { queries } from "./hub/queries.ts";
import { startLanguages } from "./i18n.ts";
import { Waiting } from "./parts/waiting.tsx";
import { router } from "./routes.tsx";

/** A shade darker than Mantine's own: text on it and in it is readable on white and on the dark ground. */
const theme = createTheme({
  primaryColor: "cyan",
  primaryShade: 9,
  defaultRadius: "md",
  cursorType: "pointer",
  // A dialog's title is no banner of the page.
  components: { Modal: Modal.extend({ defaultProps: { attributes: { header: { role: "presentation" } } } }) },
});

await startLanguages();
const root = document.getElementById("root");
if (!root) throw new Error("index.html has no #root");
createRoot(root).render(
  <StrictMode>
    <MantineProvider theme={theme} defaultColorScheme="auto">
      <QueryClientProvider client={queries}>
        <ModalsProvider>
          <Notifications position="bottom-right" />
          <Suspense fallback={<Waiting />}>
            <RouterProvider router={router} />
          </Suspense>
        </ModalsProvider>
      </QueryClientProvider>
    </MantineProvider>
  </StrictMode>,
);
// Browsers have it where nobody can have changed it on the way: over HTTPS, or on the hub's own machine.
if (import.meta.env.PROD && "serviceWorker" in navigator)
  navigator.serviceWorker.register("/sw.js", { updateViaCache: "none" }).catch(() => undefined);
