import { ApiError } from "../../hub/client.ts";
import type { components } from "../../hub/schema.d.ts";

type Import = components["schemas"]["ReadingImport"];

/** Sends it while it is read, and says how much of it (0 to 1) is there; fetch does not. Answered when all of it is taken in. */
export function sendFile(file: File, onSent: (share: number) => void): Promise<Import> {
  onSent(0);
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", "/api/v1/readings/import");
    request.setRequestHeader("content-type", /\.csv$/i.test(file.name) ? "text/csv" : "application/x-ndjson");
    request.setRequestHeader("x-hexahub-csrf", "1");
    request.responseType = "json";
    request.upload.addEventListener("progress", ({ loaded, total }) => onSent(total === 0 ? 1 : loaded / total));
    request.addEventListener("error", () => reject(new ApiError("unreachable", { status: 0, code: "unreachable" })));
    request.addEventListener("load", () => {
      const body = (request.response ?? {}) as { import?: Import; code?: string; message?: string; request_id?: string };
      if (body.import) resolve(body.import);
      else reject(refusalOf(request, body));
    });
    request.send(file);
  });
}

function refusalOf(
  { status, statusText }: XMLHttpRequest,
  { code, message, request_id }: { code?: string; message?: string; request_id?: string },
): ApiError {
  return new ApiError(message ?? statusText, { status, code: code ?? "unreachable", requestId: request_id ?? "" });
}
