import type { ApiContext } from "../context.ts";

/** The first thing a person sees: where to go from here. */
export function landingPage({ setup, settings }: Pick<ApiContext, "setup" | "settings">): string {
  const next =
    setup.token === undefined
      ? "<p>The hub is set up.</p>"
      : '<p>The hub has no administrator yet. Open the address that it printed when it started, or go to <a href="/setup">set-up</a> and type the token from there.</p>';
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Hexahub</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/style.css">
</head>
<body>
<main>
<h1>Hexahub</h1>
${next}
<ul>
<li><a href="/docs">API reference</a> (<a href="/openapi.json">OpenAPI</a>)</li>
<li><a href="/health">Health</a></li>
<li><a href="/ca.pem">Certificate that devices trust</a></li>
</ul>
<p><small>Version ${settings.version}</small></p>
</main>
</body>
</html>
`;
}
