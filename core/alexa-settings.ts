import Type from "typebox";

/** Of the skill by which Alexa is told what changes. */
export const ALEXA_SETTINGS = {
  alexaClientId: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 256,
      description:
        "Alexa Client Id of the skill (its page Permissions, beside Send Alexa Events). Without it the hub answers Alexa and tells her nothing unasked; see docs/alexa.md.",
    }),
  ),
  alexaClientSecret: Type.Optional(
    Type.String({ minLength: 1, writeOnly: true, description: "Alexa Client Secret that belongs to HEXA_ALEXA_CLIENT_ID." }),
  ),
  alexaRegion: Type.Enum(["na", "eu", "fe"], {
    default: "na",
    description: "Where Alexa is told what changes: na for America, eu for Europe and India, fe for the Far East and Australia.",
  }),
  alexaTokenUrl: Type.Optional(
    Type.String({ pattern: "^https?://", description: "Login with Amazon's token endpoint, where it is another than Amazon's own." }),
  ),
  alexaGatewayUrl: Type.Optional(
    Type.String({ pattern: "^https?://", description: "Alexa's event gateway, where it is another than that of HEXA_ALEXA_REGION." }),
  ),
};
