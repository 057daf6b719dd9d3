/** What an endpoint can do, as Alexa is told. */
export type Capability = Readonly<Record<string, unknown>>;

const about = (interfaceName: string) => ({ type: "AlexaInterface", interface: `Alexa.${interfaceName}`, version: "3" });

const reported = (property: string) => ({ supported: [{ name: property }], proactivelyReported: true, retrievable: true });

/** An interface with one property. */
export const readCapability = (interfaceName: string, property: string): Capability => ({
  ...about(interfaceName),
  properties: reported(property),
});

interface Instance {
  /** What people call it. */
  readonly names: readonly string[];
  readonly configuration?: Readonly<Record<string, unknown>>;
  readonly isReadOnly?: boolean;
  /** What it was set to is nowhere kept. */
  readonly isUnknown?: boolean;
}

/** An interface of which an endpoint may have several. */
export function instanceCapability(interfaceName: string, property: string, instance: string, own: Instance): Capability {
  const { names, configuration, isReadOnly = false, isUnknown = false } = own;
  const told = { ...reported(property), ...(isUnknown ? { proactivelyReported: false, retrievable: false } : {}) };
  return {
    ...about(interfaceName),
    instance,
    capabilityResources: { friendlyNames: names.map((name) => text(name.slice(0, 128))) },
    properties: { ...told, ...(isReadOnly ? { nonControllable: true } : {}) },
    ...(configuration ? { configuration } : {}),
  };
}

export const sceneCapability: Capability = { ...about("SceneController"), supportsDeactivation: false, proactivelyReported: false };

/** Names of the hub are of no language; Alexa wants one. */
export const text = (value: string) => ({ "@type": "text", value: { text: value, locale: "en-US" } });
