// The way to the server through the kernel, for pages that cannot ask it themselves (VS Code, Colab, another
// server's JupyterLab). Belongs here: a socket and a fetch that are messages to coflux/jupyter/bridge.py.

export interface CommModel {
  send(content: unknown): void;
  on(name: "msg:custom", callback: (message: Message, buffers: ArrayBufferView[]) => void): void;
  off(name: "msg:custom", callback: (message: Message, buffers: ArrayBufferView[]) => void): void;
}

interface Message {
  coflux: "opened" | "message" | "closed" | "answer";
  id: number;
  text?: string;
  status?: number;
}

export interface Way {
  makeSocket(): WebSocket;
  fetch(url: string, init?: RequestInit): Promise<Response>;
  close(): void;
}

let last = 0;

export function throughKernel(model: CommModel): Way {
  const sockets = new Map<number, CommSocket>();
  const waiting = new Map<number, (message: Message, body: ArrayBufferView | undefined) => void>();
  const hear = (message: Message, buffers: ArrayBufferView[]): void => {
    if (message.coflux === "answer") {
      waiting.get(message.id)?.(message, buffers[0]);
      waiting.delete(message.id);
    } else sockets.get(message.id)?.hear(message);
  };
  model.on("msg:custom", hear);
  return {
    makeSocket: () => {
      const socket = new CommSocket(++last, model);
      sockets.set(socket.id, socket);
      return socket as unknown as WebSocket;
    },
    fetch: (url, init = {}) =>
      new Promise((resolve, reject) => {
        const id = ++last;
        waiting.set(id, (message, body) => {
          if (!message.status) reject(new TypeError(message.text ?? "the server cannot be reached"));
          else resolve(new Response(body && message.status !== 204 ? bytesOf(body) : null, { status: message.status }));
        });
        init.signal?.addEventListener("abort", () => {
          waiting.delete(id);
          reject(new DOMException("given up", "AbortError"));
        });
        const range = (init.headers as Record<string, string> | undefined)?.["Range"];
        model.send({ coflux: "fetch", id, url, method: init.method ?? "GET", body: init.body ?? null, range: range ?? null });
      }),
    close: () => {
      model.off("msg:custom", hear);
      for (const socket of sockets.values()) socket.close();
    },
  };
}

function bytesOf(view: ArrayBufferView): ArrayBuffer {
  return view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength) as ArrayBuffer;
}

/** As much of a WebSocket as the transport uses. */
class CommSocket {
  readyState: number = WebSocket.CONNECTING;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { reason: string }) => void) | null = null;

  constructor(readonly id: number, private readonly model: CommModel) {
    model.send({ coflux: "open", id });
  }

  hear(message: Message): void {
    if (this.readyState === WebSocket.CLOSED) return;
    if (message.coflux === "opened") {
      this.readyState = WebSocket.OPEN;
      this.onopen?.();
    } else if (message.coflux === "message") this.onmessage?.({ data: message.text ?? "" });
    else {
      this.readyState = WebSocket.CLOSED;
      this.onclose?.({ reason: message.text ?? "" });
    }
  }

  send(text: string): void {
    this.model.send({ coflux: "send", id: this.id, text });
  }

  close(): void {
    if (this.readyState === WebSocket.CLOSED) return;
    this.readyState = WebSocket.CLOSED;
    this.model.send({ coflux: "close", id: this.id });
  }
}
