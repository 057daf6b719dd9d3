import { JsonLink, type JsonMessage, Refused } from "./json-link.ts";

type Answer = { readonly resolve: () => void; readonly reject: (error: Error) => void };

/** JSON over a WebSocket: `/ws/device`. */
export class SocketLink extends JsonLink {
  readonly #answers = new Map<number, Answer>();
  #lastId = 0;
  #socket: WebSocket | undefined;

  protected open(): void {
    if (this.isEnded) return;
    const { url, uid, password } = this.options;
    const address = new URL(`/ws/device?uid=${uid}`, url.replace(/^http/, "ws"));
    const socket = new WebSocket(address, ["hexahub.device", `bearer.${password}`]);
    this.#socket = socket;
    socket.addEventListener("open", () => this.up());
    socket.addEventListener("message", ({ data }) => this.#take(JSON.parse(String(data)) as JsonMessage));
    socket.addEventListener("close", ({ code, reason }) => {
      const error = new Error(`the hub closed the connection: ${code} ${reason}`);
      for (const { reject } of this.#answers.values()) reject(error);
      this.#answers.clear();
      this.lost(code > 1_001 ? error : undefined);
    });
  }

  protected say(type: string, payload: Readonly<Record<string, unknown>>): Promise<void> {
    const socket = this.#socket;
    if (socket?.readyState !== WebSocket.OPEN) return Promise.reject(new Error("not connected"));
    const id = ++this.#lastId;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#answers.set(id, { resolve, reject });
    socket.send(JSON.stringify({ ...payload, type: type === "task_result" ? "task.result" : type, id }));
    return promise;
  }

  protected cut(): void {
    this.#socket?.close();
  }

  #take(message: JsonMessage): void {
    const { type, id, code, message: text } = message;
    const answer = typeof id === "number" ? this.#answers.get(id) : undefined;
    if (answer && (type === "ok" || type === "error")) {
      this.#answers.delete(id as number);
      if (type === "ok") answer.resolve();
      else answer.reject(new Refused(String(code), String(text)));
    } else if (type !== "ok" && type !== "error") this.heard(message);
  }
}
