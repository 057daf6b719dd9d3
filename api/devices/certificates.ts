import Type from "typebox";
import { CERTIFICATE_DAYS, MAX_CERTIFICATE_DAYS } from "../../core/certificate.ts";
import { newEvent } from "../../core/event.ts";
import { actorOf } from "../../core/principal.ts";
import { recordCertificate } from "../../store/credentials.ts";
import { DeviceParams } from "../fields.ts";
import { defineRoute } from "../route.ts";
import { deviceFor } from "./device-for.ts";

export const issueCertificate = defineRoute({
  method: "POST",
  path: "/api/v1/devices/:id/certificates",
  tag: "Devices",
  summary: "Issue a TLS client certificate to a device",
  description:
    "The device keeps its key and sends a certificate request (PKCS #10) signed by it. With the certificate it logs in over MQTT/TLS without a password. It is one of the device's credentials, and is revoked like them; the others stay.",
  access: "device.manage",
  params: DeviceParams,
  body: Type.Object(
    {
      csr: Type.String({
        minLength: 1,
        maxLength: 16_384,
        description: "PEM. The names in it are ignored: the certificate names the device",
      }),
      days: Type.Optional(
        Type.Integer({
          minimum: 1,
          maximum: MAX_CERTIFICATE_DAYS,
          description: `How long it is valid; ${CERTIFICATE_DAYS} without it. Never longer than the authority`,
        }),
      ),
    },
    { additionalProperties: false, title: "CertificateRequest" },
  ),
  bodyExample: { csr: "-----BEGIN CERTIFICATE REQUEST-----\n…\n-----END CERTIFICATE REQUEST-----\n", days: CERTIFICATE_DAYS },
  replies: {
    201: {
      description: "The certificate",
      schema: Type.Object(
        {
          credential_id: Type.String({ description: "For its revocation" }),
          certificate: Type.String({ description: "PEM" }),
          ca: Type.String({ description: "PEM of the authority that signed it" }),
          serial_number: Type.String({ description: "Hexadecimal" }),
          fingerprint_sha256: Type.String({ description: "Hexadecimal" }),
          expires_at: Type.String(),
        },
        { title: "IssuedCertificate" },
      ),
    },
  },
  errors: ["not_found", "conflict"],
  async handler({ context, principal, rights, params, body, commit }) {
    const { uid } = await deviceFor(rights, "device.manage", context.store.db, params.id);
    const issued = await context.deviceCertificates.issue({ uid, csr: body.csr, days: body.days ?? CERTIFICATE_DAYS });
    return commit(async (db) => {
      const device = await deviceFor(rights, "device.manage", db, params.id);
      const now = context.clock();
      const credentialId = await recordCertificate(db, device.id, issued, now);
      const about = { organizationId: device.organizationId, entityId: device.id, actor: actorOf(principal), now };
      return {
        answer: {
          status: 201,
          body: {
            credential_id: credentialId,
            certificate: issued.certificate,
            ca: issued.ca,
            serial_number: issued.serialNumber,
            fingerprint_sha256: issued.fingerprint,
            expires_at: new Date(issued.notAfter).toISOString(),
          },
        },
        audit: [
          {
            organizationId: device.organizationId,
            action: "device.issue_certificate",
            resourceType: "device",
            resourceId: device.id,
            details: {
              uid,
              credential_id: credentialId,
              fingerprint_sha256: issued.fingerprint,
              expires_at: new Date(issued.notAfter).toISOString(),
            },
          },
        ],
        events: [newEvent("device.certificate_issued", about, { uid, credential_id: credentialId })],
      };
    });
  },
});
