/* What the plugin uses of homebridge-lib, which has no types of its own. */

declare module "homebridge-lib/Platform" {
  import type { EventEmitter } from "node:events";

  export interface Hap {
    readonly HapStatusError: new (status: number) => Error;
    readonly HAPStatus: { readonly SERVICE_COMMUNICATION_FAILURE: number };
  }
  export interface Homebridge {
    readonly hap: Hap;
    on(event: "didFinishLaunching", hear: () => void): void;
    updatePlatformAccessories(accessories: readonly never[]): void;
  }
  export type Logger = (message: string) => void;

  export class Platform extends EventEmitter {
    static loadPlatform(
      homebridge: Homebridge,
      packageJson: object,
      name: string,
      platform: new (log: Logger, config: object | null, homebridge: Homebridge) => Platform,
    ): void;
    constructor(log: Logger, config: object | null, homebridge: Homebridge);
    npmRegistry: { get(): Promise<{ body: object }> };
    on(
      event: "accessoryRestored",
      hear: (type: string, version: string, id: string, name: string, context: Readonly<Record<string, unknown>>) => void,
    ): this;
    on(event: "heartbeat" | "shutdown", hear: () => void): this;
    once(event: "heartbeat", hear: () => void): this;
    emit(event: "initialised"): boolean;
    log(format: string, ...values: unknown[]): void;
    warn(format: string, ...values: unknown[]): void;
    error(format: string, ...values: unknown[]): void;
  }
}

declare module "homebridge-lib/AccessoryDelegate" {
  import type { EventEmitter } from "node:events";
  import type { CharacteristicType, ServiceType } from "homebridge-lib/ServiceDelegate";
  import type { Platform } from "homebridge-lib/Platform";

  export class AccessoryDelegate extends EventEmitter {
    constructor(
      platform: Platform,
      about: { id: string; name: string; manufacturer: string; model: string; firmware: string; logLevel: number },
    );
    readonly name: string;
    readonly Services: { readonly hap: Readonly<Record<string, ServiceType>> };
    readonly Characteristics: { readonly hap: Readonly<Record<string, CharacteristicType>> };
    /** Kept by Homebridge with the accessory. */
    readonly context: Record<string, unknown>;
    readonly values: Record<string, string | number | boolean>;
    emit(event: "initialised"): boolean;
    on(event: "exposeError", hear: (error: Error) => void): this;
    destroy(): void;
  }
}

declare module "homebridge-lib/ServiceDelegate" {
  import type { EventEmitter } from "node:events";
  import type { AccessoryDelegate } from "homebridge-lib/AccessoryDelegate";

  export type ServiceType = abstract new () => object;
  export interface CharacteristicType {
    readonly ARABIC_NUMERALS?: number;
  }
  type Value = string | number | boolean;
  export interface HapCharacteristic {
    readonly value: Value;
    updateValue(value: Value | Error): void;
    sendEventNotification(value: Value): void;
    onSet(set: (value: Value) => Promise<void>): void;
    removeAllListeners(event: "set"): void;
  }

  export class ServiceDelegate extends EventEmitter {
    static ServiceLabel: new (
      accessory: AccessoryDelegate,
      about: { name: string; namespace: number | undefined },
    ) => ServiceDelegate;
    constructor(
      accessory: AccessoryDelegate,
      about: { name: string; Service: ServiceType | undefined; subtype: string; primaryService: boolean },
    );
    readonly Characteristics: AccessoryDelegate["Characteristics"];
    readonly context: Record<string, unknown>;
    readonly values: Record<string, Value>;
    addCharacteristicDelegate(about: {
      key: string;
      Characteristic: CharacteristicType | undefined;
      props?: object | undefined;
      value: Value;
      silent: boolean;
    }): { readonly _characteristic: HapCharacteristic };
    destroy(): void;
  }
}

declare module "homebridge-lib/ServiceDelegate/ServiceLabel" {}
