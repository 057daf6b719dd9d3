import Type, { type Static, type TSchema } from "typebox";
import { HubError } from "../../core/errors.ts";
import { parserFor } from "../../core/validate.ts";
import { CliError, EXIT } from "./exit.ts";

/*
 * What the command line reads of the hub's answers, and no more: it also has to understand a hub that is newer.
 * With --json the whole answer is printed.
 */
const Text = Type.String();
const NullableText = Type.Union([Type.String(), Type.Null()]);
const NullableTexts = Type.Union([Type.Array(Type.String()), Type.Null()]);

const DeviceSummary = Type.Object({
  uid: Text,
  name: Text,
  device_class: Text,
  connection_status: Text,
  last_seen_at: NullableText,
  model: NullableText,
  firmware_version: NullableText,
});
export type DeviceSummary = Static<typeof DeviceSummary>;

const Value = Type.Union([Type.Number(), Type.Boolean(), Type.String(), Type.Null()]);
const DemoDevice = Type.Object({ uid: Text, name: Text, connected: Type.Boolean() });

export const parseDevicePage = replyParser(Type.Object({ data: Type.Array(DeviceSummary), next_cursor: NullableText }));
export const parseDeviceDetail = replyParser(
  Type.Object({
    device: DeviceSummary,
    state: Type.Object({
      relays: Type.Array(Type.Object({ index: Type.Integer(), state: Text })),
      lights: Type.Array(
        Type.Object({
          index: Type.Integer(),
          state: Text,
          brightness: Type.Optional(Type.Number()),
          color_temp: Type.Optional(Type.Number()),
        }),
      ),
    }),
    sensors: Type.Array(Type.Object({ key: Text, value: Value, ts: Text })),
  }),
);
export const parseEnrolled = replyParser(
  Type.Object({
    device_uid: Text,
    device_token: Text,
    device_jwt: Text,
    mqtt_url: NullableText,
    mqtts_url: NullableText,
    wss_url: NullableText,
  }),
);
export const parseCommandAnswer = replyParser(
  Type.Object({
    command_id: Text,
    status: Text,
    latency_ms: Type.Optional(Type.Union([Type.Number(), Type.Null()])),
    state: Type.Optional(Type.Unknown()),
  }),
);
export const parseReadings = replyParser(
  Type.Object({ data: Type.Array(Type.Object({ ts: Text, value: Value })), next_cursor: NullableText }),
);
export const parseNewToken = replyParser(Type.Object({ id: Text, token: Text }));
const TokenSummary = Type.Object({
  id: Text,
  kind: Text,
  name: Text,
  permissions: Type.Optional(NullableTexts),
  devices: Type.Optional(NullableTexts),
  expires_at: NullableText,
  revoked_at: Type.Optional(NullableText),
  last_used_at: NullableText,
});
export type TokenSummary = Static<typeof TokenSummary>;
export const parseTokenPage = replyParser(Type.Object({ data: Type.Array(TokenSummary), next_cursor: Type.Optional(NullableText) }));
const SigningKey = Type.Object({ kid: Text, purpose: Text, state: Text, activates_at: Text, retired_at: NullableText });
export const parseSigningKeys = replyParser(Type.Object({ data: Type.Array(SigningKey) }));
export const parseRotatedKey = replyParser(Type.Object({ signing_key: SigningKey }));
export const parseDemo = replyParser(Type.Object({ devices: Type.Array(DemoDevice) }));
const EncryptionAnswer = Type.Object({
  state: Text,
  key_id: NullableText,
  total: Type.Integer(),
  done: Type.Integer(),
  unreadable: Type.Integer(),
});
export type EncryptionAnswer = Static<typeof EncryptionAnswer>;
export const parseEncryption = replyParser(EncryptionAnswer);
export const parseDemoStopped = replyParser(Type.Object({ removed: Type.Integer() }));

const AuditVerification = Type.Object({
  checked: Type.Integer(),
  waiting: Type.Integer(),
  chain_count: Type.Integer(),
  chains: Type.Array(
    Type.Object({
      organization_id: NullableText,
      checked: Type.Integer(),
      waiting: Type.Integer(),
      checkpoint: Type.Optional(Type.Union([Type.Object({ seq: Type.Integer() }), Type.Null()])),
      fault: Type.Union([Type.Object({ id: NullableText, seq: Type.Integer(), reason: Text }), Type.Null()]),
    }),
  ),
});
export type AuditVerification = Static<typeof AuditVerification>;
export const parseCheckpointPage = replyParser(Type.Object({ data: Type.Array(Type.Unknown()), next_cursor: NullableText }));
const AuditKey = Type.Object({ key_id: Text, public_key: Text, created_at: Text, retired_at: NullableText });
export const parseAuditKeys = replyParser(Type.Object({ data: Type.Array(AuditKey) }));
export const parseRotatedAuditKey = replyParser(Type.Object({ audit_key: AuditKey }));
export const parseAuditVerification = replyParser(AuditVerification);

function replyParser<S extends TSchema>(schema: S): (answer: unknown) => Static<S> {
  const parse = parserFor(schema);
  return (answer) => {
    try {
      return parse(answer);
    } catch (error) {
      if (!(error instanceof HubError)) throw error;
      throw new CliError(EXIT.failed, "unexpected_answer", `the hub's answer is not what this command line reads: ${error.message}`, {
        mend: "is the hub of another release?",
        cause: error,
      });
    }
  };
}
