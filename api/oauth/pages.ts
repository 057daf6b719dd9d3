import { OAUTH_SCOPES, type OauthScope } from "../../core/oauth.ts";

interface Asking {
  /** The program. */
  readonly client: string;
  /** Where the form goes. */
  readonly action: string;
}

/** `problem` is what was wrong with the attempt before. */
export function loginPage(
  { client, action }: Asking,
  { email = "", problem }: { readonly email?: string; readonly problem?: string } = {},
) {
  const body = `<h1>Log in</h1>
<p><strong>${escape(client)}</strong> wants to be linked with your account on this hub. Log in; then you are asked what it may do.</p>
${problem === undefined ? "" : `<p id="problem" role="alert">${escape(problem)}.</p>`}
<form method="post" action="${escape(action)}">
<label>E-mail <input name="email" type="email" required maxlength="255" autocomplete="username" value="${escape(email)}"${marked(problem)}></label>
<label>Password <input name="password" type="password" required maxlength="1024" autocomplete="current-password"${marked(problem)}></label>
<button name="step" value="login">Log in</button>
</form>
${cancelForm(action)}`;
  return page(problem === undefined ? "Log in" : "Log in: that was not right", body);
}

export interface Consent extends Asking {
  readonly email: string;
  /** Where the person is sent back to. */
  readonly host: string;
  readonly scopes: readonly OauthScope[];
  /** At least one. */
  readonly organizations: readonly { readonly id: string; readonly name: string }[];
  readonly problem?: string | undefined;
}

export function consentPage({ client, action, email, host, scopes, organizations, problem }: Consent): string {
  const said = scopes.map((scope) => `<li>${escape(OAUTH_SCOPES[scope].says)}</li>`).join("\n");
  const body = `<h1>Link with ${escape(client)}?</h1>
${problem === undefined ? "" : `<p role="alert">${escape(problem)}.</p>`}
<p>You are logged in as ${escape(email)}. <strong>${escape(client)}</strong> (${escape(host)}) could then, until you unlink it:</p>
<ul>
${said}
</ul>
<form method="post" action="${escape(action)}">
${choiceOf(organizations)}
<button name="step" value="allow">Allow</button>
</form>
${cancelForm(action)}`;
  return page(`Link with ${client}?`, body);
}

/** Sends the browser on by itself: a form's answer that redirects to another site is stopped by the policy on forms in some browsers. */
export function onwardPage(url: string): string {
  const body = `<h1>One moment</h1>
<p><a href="${escape(url)}">Go on</a></p>`;
  return page("One moment", body, `<meta http-equiv="refresh" content="0; url=${escape(url)}">\n`);
}

export function problemPage(problem: string): string {
  const body = `<h1>This did not work</h1>
<p role="alert">${escape(problem)}.</p>
<p>Begin again from the program that you came from.</p>`;
  return page("This did not work", body);
}

function choiceOf(organizations: Consent["organizations"]): string {
  const [only] = organizations;
  if (organizations.length === 1 && only)
    return `<p>It gets this in <strong>${escape(only.name)}</strong>.</p>
<input type="hidden" name="organization" value="${escape(only.id)}">`;
  const choices = organizations.map(
    ({ id, name }) => `<label><input type="radio" name="organization" value="${escape(id)}" required> ${escape(name)}</label>`,
  );
  return `<fieldset>
<legend>In which organisation?</legend>
${choices.join("\n")}
</fieldset>`;
}

const cancelForm = (action: string): string => `<form method="post" action="${escape(action)}">
<button name="step" value="cancel">Cancel</button>
</form>`;

const marked = (problem: string | undefined): string => (problem === undefined ? "" : ' aria-invalid="true" aria-describedby="problem"');

const page = (title: string, body: string, head = ""): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
${head}<title>${escape(title)} · Hexahub</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/style.css">
</head>
<body>
<main>
${body}
</main>
</body>
</html>
`;

const SPECIAL: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
const escape = (text: string): string => text.replaceAll(/[&<>"']/g, (character) => SPECIAL[character] as string);
