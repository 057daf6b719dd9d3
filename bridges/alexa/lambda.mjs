// The code of the skill's AWS Lambda function (Node 22 or later; docs/alexa.md): hands what Alexa sends on to the hub at HUB_URL,
// and its answer back. It keeps nothing, and logs no token.

/** Alexa waits 8 s; of her own accord the hub answers within 5. */
const PATIENCE_MS = 7_000;
/** @type {Readonly<Record<number, string>>} */
const TYPES = {
  400: "INVALID_DIRECTIVE",
  413: "INVALID_DIRECTIVE",
  429: "RATE_LIMIT_EXCEEDED",
  502: "BRIDGE_UNREACHABLE",
  503: "BRIDGE_UNREACHABLE",
};

/** @param {{ readonly directive: Directive }} request */
export const handler = async (request) => {
  try {
    const response = await fetch(new URL("/api/v1/alexa", process.env.HUB_URL), {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ directive: request.directive }),
      redirect: "error",
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    if (response.status === 200) return await response.json();
    return failed(request, TYPES[response.status] ?? "INTERNAL_ERROR", `the hub answered ${response.status}`);
  } catch (error) {
    const { name, cause } = /** @type {Error & { cause?: { code?: string } }} */ (error);
    console.error("the hub cannot be reached:", cause?.code ?? name);
    return failed(request, "BRIDGE_UNREACHABLE", "the hub cannot be reached");
  }
};

/**
 * @typedef {{ readonly header: { readonly namespace: string, readonly correlationToken?: string }, readonly endpoint?: { readonly endpointId: string } }} Directive
 * @param {{ readonly directive: Directive }} request
 * @param {string} type
 * @param {string} message
 */
function failed({ directive: { header, endpoint } }, type, message) {
  const { namespace, correlationToken } = header;
  const isGrant = namespace === "Alexa.Authorization";
  return {
    event: {
      header: {
        namespace: isGrant ? namespace : "Alexa",
        name: "ErrorResponse",
        messageId: crypto.randomUUID(),
        payloadVersion: "3",
        ...(correlationToken === undefined ? {} : { correlationToken }),
      },
      ...(endpoint === undefined ? {} : { endpoint: { endpointId: endpoint.endpointId } }),
      payload: { type: isGrant ? "ACCEPT_GRANT_FAILED" : type, message },
    },
  };
}
