import Type from "typebox";

/** Of HomeKit. */
export const HOMEKIT_SETTINGS = {
  homekit: Type.Enum(["off", "on", "external"], {
    default: "off",
    description:
      "HomeKit: on runs Homebridge beside the hub, with as many bridges as the devices need; external only publishes the accessories, for a Homebridge of your own with the plugin homebridge-hexahub. Of several hubs in a cluster one has it on.",
  }),
  homekitOrganization: Type.Optional(
    Type.String({
      pattern: "^[0-9a-f-]{36}$",
      description: "Id of the organisation whose devices are in HomeKit. Without it: the only one that there is.",
    }),
  ),
  homekitAnnounce: Type.String({
    default: "",
    maxLength: 1_024,
    pattern: "^[A-Za-z0-9.:%_-]*(,[A-Za-z0-9.:%_-]+)*$",
    description:
      "Addresses or network interfaces on which the bridges of HomeKit are announced (mDNS), separated by commas; all of them without it. Their ports are open on every one, whatever HEXA_HOST says.",
  }),
};
