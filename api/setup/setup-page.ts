/**
 * The set-up form. The token arrives in the URL's fragment, which browsers send to nobody, so that it stands in no
 * log and no referrer; the script moves it into the form and out of the address bar.
 */
export const SETUP_PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Set up Hexahub</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/style.css">
</head>
<body>
<main>
<h1>Set up Hexahub</h1>
<form id="setup" autocomplete="on">
<label>Set-up token <input name="token" required autocomplete="off" spellcheck="false"></label>
<label>E-mail <input name="email" type="email" required autocomplete="username"></label>
<label>Password <input name="password" type="password" required minlength="8" maxlength="72" autocomplete="new-password"></label>
<label>Organisation <input name="organization" maxlength="120" placeholder="Home"></label>
<button>Make the administrator</button>
</form>
<p id="result" role="status" aria-live="polite"></p>
<p id="next" hidden>Log in with <code>POST /api/v1/auth/login</code> on the page of the <a href="/docs">API</a>.</p>
<noscript><p>This form needs JavaScript. Without it: POST /api/v1/setup with token, email and password as JSON.</p></noscript>
</main>
<script src="/setup.js"></script>
</body>
</html>
`;

export const SETUP_SCRIPT = `"use strict";
const form = document.getElementById("setup");
const result = document.getElementById("result");
const fragment = new URLSearchParams(location.hash.slice(1));
const token = fragment.get("token") ?? location.hash.slice(1);
if (token) {
  form.elements.token.value = token;
  history.replaceState(null, "", location.pathname);
}
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  result.textContent = "";
  const fields = Object.fromEntries([...new FormData(form)].filter(([, value]) => value !== ""));
  try {
    const answer = await fetch("/api/v1/setup", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(fields) });
    const body = await answer.json();
    if (answer.ok) {
      form.remove();
      result.textContent = "Done: " + body.user.email + " is the administrator of this hub.";
      document.getElementById("next").hidden = false;
      return;
    }
    result.textContent = body.message;
  } catch {
    result.textContent = "The hub did not answer.";
  }
  button.disabled = false;
});
`;

export const STYLE_SHEET = `:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { margin: 0; overflow-wrap: anywhere; }
main { max-width: 28rem; margin: 10vh auto; padding: 0 1rem; }
label { display: block; margin: 1rem 0; }
input { display: block; box-sizing: border-box; width: 100%; padding: 0.5rem; font: inherit; }
input[type="radio"] { display: inline; width: auto; }
[role="alert"] { border-left: 0.25rem solid; padding-left: 0.75rem; }
button { padding: 0.5rem 1rem; font: inherit; }
`;
