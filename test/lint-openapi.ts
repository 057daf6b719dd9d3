import spectralCore, { type IRuleResult, type RulesetDefinition } from "@stoplight/spectral-core";
import owasp from "@stoplight/spectral-owasp-ruleset";
import rulesets from "@stoplight/spectral-rulesets";
import { openApiDocument } from "../api/openapi.ts";

/** Open by their nature: whoever calls them has nothing yet to show but what is in the body. */
const OPEN_WRITES = new Set([
  "/api/v1/setup",
  "/api/v1/auth/login",
  "/api/v1/auth/refresh",
  "/api/v1/auth/register",
  "/api/v1/auth/verify-email",
  "/api/v1/auth/password/forgot",
  "/api/v1/auth/password/reset",
  "/api/v1/invitations/register",
  // Signed, or with a secret in a header, in the sender's own way.
  "/api/v1/hooks/{id}",
  // The token stands in the directive.
  "/api/v1/alexa",
]);
/** For administrators of the platform: the same tokens as everywhere, and a permission that others have not. */
const ADMINISTRATION = new Set(["/api/v1/admin/ops/alerts/simulate"]);

/** Spectral with its OpenAPI rules and those of OWASP. Prints the errors, and how many warnings there are. */
async function main(): Promise<number> {
  const spectral = new spectralCore.Spectral();
  // Their types ask for what the other's leave out.
  const definitions = [rulesets.oas, "default" in owasp ? owasp.default : owasp] as unknown as readonly RulesetDefinition[];
  spectral.setRuleset({ extends: definitions.map((one) => [one, "recommended"]) });
  const found = await spectral.run(JSON.parse(JSON.stringify(openApiDocument("0.0.0"))) as Record<string, unknown>);
  const errors = found.filter((one) => isError(one) && !isExpected(one));
  for (const { code, message, path } of errors) console.log(`${code} ${path.join(" > ")}: ${message}`);
  const unused = [...OPEN_WRITES].filter((path) => !found.some((one) => isExpected(one) && one.path[1] === path));
  for (const path of unused) console.log(`${path} is not open any more: take it off the list`);
  console.log(`${errors.length} errors, ${found.filter((one) => !isError(one)).length} warnings`);
  return errors.length + unused.length === 0 ? 0 : 1;
}

const ERROR = 0 as IRuleResult["severity"];
const isError = ({ severity }: IRuleResult): boolean => severity === ERROR;

function isExpected({ code, path }: IRuleResult): boolean {
  if (code === "owasp:api5:2023-admin-security-unique") return ADMINISTRATION.has(String(path[1]));
  return code === "owasp:api2:2023-write-restricted" && OPEN_WRITES.has(String(path[1]));
}

process.exitCode = await main();
