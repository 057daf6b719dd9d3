/**
 * The topics of the hub itself. What is published there reaches the handlers of every node, this one too, at least once
 * and in the order of its sender; no client may publish or read them.
 */
export const HUB_TOPICS = {
  /** `{ key }`, a uid: a device joined, left or changed its organisation; what it is now stands in the database. */
  directory: "$hub/directory",
  /** `{ key }`, a user's id: what the user may do has changed. */
  access: "$hub/access",
  /** `{ organization_id, user_ids }`: there is something new to tell these people. */
  notifications: "$hub/notifications",
  /** A mail was committed. */
  mail: "$hub/mail",
  /** There are other signing keys than before; they stand in the database. */
  signingKeys: "$hub/signing-keys",
  /** An {@link EndedCommand} that another node may wait for. */
  commandEnded: "$hub/commands/ended",
  /** A {@link DeviceRef}: a command waits for the device, which may have come back to another node meanwhile. */
  commandQueued: "$hub/commands/queued",
  /** `{ key, revision }`: whatever a cache has under the key that is older than the revision is outdated. */
  cache: "$hub/cache",
  /** Another key encrypts from now on: what is under the former one is to be encrypted again. */
  encryption: "$hub/encryption",
  /** `{ key }`, an automation's id: it was made, changed or removed, or what its triggers saw is something else. */
  automations: "$hub/automations",
  /** `{ key }`, an organisation: its webhooks have changed. */
  webhooks: "$hub/webhooks",
  /** `{ key }`, a device's id: the calibrations of its sensors have changed. */
  calibrations: "$hub/calibrations",
  /** `{ key }`, an organisation: its virtual sensors have changed. */
  virtualSensors: "$hub/virtual-sensors",
  /** `{ key }`, an organisation: what needs approval there has changed. */
  riskPolicies: "$hub/risk-policies",
  /** `{ key }`, an alert rule's id: it was made, changed or removed, or what it watches is something else. */
  alerts: "$hub/alerts",
  /** `{ key }`, an organisation: what smart homes see of its devices may be something else. */
  homes: "$hub/homes",
  /** `{ organization_id, status }`: an organisation's Home Assistant came or went. */
  homeAssistant: "$hub/home-assistant",
  /** `{ organization_id, is_all }`: what its Home Assistant is told has to be gone through, or told anew. */
  homeAssistantWork: "$hub/home-assistant/work",
  /** `{ key }`, an organisation: somebody has linked or unlinked Alexa there, or she is to be told everything again. */
  alexa: "$hub/alexa",
  /** How the connection to Home Assistant's broker is doing: its node tells the others. */
  homeAssistantRemote: "$hub/home-assistant/remote",
  /** `{ organization_id }`: all that Home Assistant's broker was told is to be taken back. */
  homeAssistantLeave: "$hub/home-assistant/leave",
  /** `{ call, from, name, request }`: work for every node but the sender. */
  calls: "$hub/calls",
} as const;

/** `{ call, answer? }`: the answers to one node's calls. */
export const callAnswersTopic = (processId: string): string => `$hub/answers/${processId}`;
