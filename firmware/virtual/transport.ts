import { linkOf, type LinkOptions, openLink } from "./link.ts";
import { PollLink } from "./poll-link.ts";
import { SocketLink } from "./socket-link.ts";

export interface LinkEvents {
  connect: [];
  close: [];
  error: [Error];
}

/** What a device needs of its connection; MQTT.js' client is one. */
export interface Link {
  readonly connected: boolean;
  readonly stream: { destroy(): unknown };
  handleMessage: (packet: { readonly topic: string; readonly payload: string | Buffer }, done: () => void) => void;
  on<K extends keyof LinkEvents>(name: K, listener: (...args: LinkEvents[K]) => void): this;
  once<K extends keyof LinkEvents>(name: K, listener: (...args: LinkEvents[K]) => void): this;
  off<K extends keyof LinkEvents>(name: K, listener: (...args: LinkEvents[K]) => void): this;
  publish(
    topic: string,
    payload: string | Buffer,
    options: { readonly qos: 0 | 1; readonly retain: boolean },
    done: (error?: Error) => void,
  ): unknown;
  subscribeAsync(filter: string, options: { readonly qos: 1 }): Promise<readonly { readonly qos: number }[]>;
  end(force: boolean, options: object, done: () => void): unknown;
}

/** A device's connection by whichever transport. It is made at once and by itself again after a loss; the caller must listen to its `error`. */
export function openTransport(options: LinkOptions, will: { readonly topic: string; readonly payload: string }): Link {
  const { transport = "mqtt" } = options;
  if (transport === "mqtt") return linkOf(openLink(options, will));
  const prefix = will.topic.slice(0, will.topic.lastIndexOf("/") + 1);
  return transport === "ws" ? new SocketLink(options, prefix) : new PollLink(options, prefix);
}
